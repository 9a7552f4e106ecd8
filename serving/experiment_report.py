"""What an experiment has shown up to now: each metric by variant, with intervals that may be looked at at any time.

The unit is the user. One counts once the window after the first impression of the experiment is over, with all that
happened in it: what was seen of a user does not change any more from look to look, which the intervals rest on.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
import scipy.stats
from msgspec import Struct

from recsys.config import Experiment, InteractionType
from recsys.mean_interval import Estimate
from recsys.schema import EVENT_TYPE, ITEM_ID, ITEMS, REQUEST_ID, TEAMS, TIMESTAMP, USER_ID, VALUE, VARIANT
from recsys.sequential import Group, of_difference, of_share
from serving.experiment_rows import ExperimentRows

MISMATCH: Final = 0.001
"""Below this p-value the numbers of users are not those of the shares: Fabijan et al., "Diagnosing sample ratio
mismatch in online controlled experiments", 2019. It is low because it is looked at again and again."""

SHADOW_TOP: Final = 10
"""So many items of a shadow's list are compared with those that were shown."""

_FIRST, _TOTAL, _PER = "first", "total", "per"


class Measured(Struct, frozen=True, kw_only=True):
    """A metric of one variant."""

    variant: str
    users: int
    value: float | None
    """None where nothing was counted yet."""
    difference: Estimate | None = None
    """From the first variant, with its 95 % confidence sequence; None of the first, and while there are few users."""


class Metric(Struct, frozen=True, kw_only=True):
    """users_with_TYPE, TYPE_per_user, TYPE_value_per_user, or conversion_per_impression."""

    name: str
    variants: list[Measured]


class Interleaving(Struct, frozen=True, kw_only=True):
    """Whose items users choose of the lists that mix both."""

    first: str
    second: str
    users: int
    """With an event about an item of a list."""
    prefer_first: int
    prefer_second: int
    share: Estimate
    """Of those who prefer one, who prefer the second, with its 95 % confidence sequence; 0.5 is no difference."""


class Shadow(Struct, frozen=True, kw_only=True):
    """What a variant would have shown."""

    variant: str
    lists: int
    same_top: float | None
    """Mean share of the first ten shown items that are also among its first ten."""
    took_ms: float | None
    """The median."""


class ExperimentReport(Struct, frozen=True, kw_only=True):
    """All that is known of an experiment."""

    name: str
    method: str
    until: datetime
    impressions: dict[str, int]
    """By variant; of interleaved lists under `mixed`."""
    users: dict[str, int]
    """Who was shown a list, by variant."""
    users_counted: dict[str, int]
    """Of those, whose window is over."""
    mismatch_p: float | None
    metrics: list[Metric]
    interleaving: Interleaving | None
    shadows: list[Shadow]
    warnings: list[str]


MIXED: Final = "mixed"


def report(
    name: str, experiment: Experiment, types: Mapping[str, InteractionType], rows: ExperimentRows, now: datetime
) -> ExperimentReport:
    """The report of what happened before `now`."""
    shown = list(experiment.shown) if experiment.method == "split" else [MIXED]
    impressions = rows.impressions.filter(pl.col(TIMESTAMP) <= now).with_columns(pl.col(VARIANT).fill_null(MIXED))
    warnings = []
    by_user = impressions.group_by(USER_ID, maintain_order=True).agg(
        pl.col(VARIANT).n_unique().alias("variants"), pl.col(VARIANT).first(), pl.col(TIMESTAMP).min().alias(_FIRST)
    )
    if moved := by_user.filter(pl.col("variants") > 1).height:
        warnings.append(f"{moved:,} users were shown several variants and do not count; were shares or salt changed?")
    by_user = by_user.filter((pl.col("variants") == 1) & pl.col(VARIANT).is_in(shown)).drop("variants")
    window = timedelta(days=experiment.window_days)
    counted = by_user.filter(pl.col(_FIRST) + window <= now)
    users = {variant: by_user.filter(pl.col(VARIANT) == variant).height for variant in shown}
    mismatch = _mismatch([users[variant] for variant in shown], [each.share for each in experiment.shown.values()])
    if mismatch is not None and mismatch < MISMATCH:
        warnings.append(
            f"sample ratio mismatch (p = {mismatch:.2g}): {users} users are not what the shares say; do not trust the "
            "differences before you know why"
        )
    within = impressions.join(counted.drop(VARIANT), on=USER_ID).filter(pl.col(TIMESTAMP) < pl.col(_FIRST) + window)
    events = rows.events.join(counted, on=USER_ID).filter(pl.col(TIMESTAMP) < pl.col(_FIRST) + window)
    metrics = []
    if experiment.method == "split":
        metrics = _metrics(counted, within, events, shown, types, experiment.planned_users)
    return ExperimentReport(
        name=name,
        method=experiment.method,
        until=now,
        impressions={variant: impressions.filter(pl.col(VARIANT) == variant).height for variant in shown},
        users=users,
        users_counted={variant: counted.filter(pl.col(VARIANT) == variant).height for variant in shown},
        mismatch_p=mismatch,
        metrics=metrics,
        interleaving=_interleaving(experiment, within, events) if experiment.method == "interleave" else None,
        shadows=[
            _shadow(variant, rows.impressions, rows.shadows.filter(pl.col(VARIANT) == variant))
            for variant, each in experiment.variants.items()
            if each.shadow
        ],
        warnings=warnings,
    )


def _mismatch(users: Sequence[int], shares: Sequence[float]) -> float | None:
    """The chi-square test of the numbers of users against the shares; None where there is nothing to compare."""
    if len(users) < 2 or not sum(users):
        return None
    expected = np.array(shares) * sum(users) / sum(shares)
    return float(scipy.stats.chisquare(users, expected).pvalue)


def _metrics(
    counted: pl.DataFrame,
    within: pl.DataFrame,
    events: pl.DataFrame,
    variants: Sequence[str],
    types: Mapping[str, InteractionType],
    planned: int,
) -> list[Metric]:
    found = []
    everybody = counted.select(USER_ID, VARIANT)
    ones = everybody.with_columns(pl.lit(1.0).alias(_PER))
    for kind in types:
        of_kind = events.filter(pl.col(EVENT_TYPE) == kind).group_by(USER_ID)
        counts = of_kind.agg(pl.len().cast(pl.Float64).alias(_TOTAL))
        whether = counts.with_columns(pl.lit(1.0).alias(_TOTAL))
        found += [
            _metric(f"users_with_{kind}", _joined(ones, whether), variants, planned),
            _metric(f"{kind}_per_user", _joined(ones, counts), variants, planned),
        ]
        values = of_kind.agg(pl.col(VALUE).sum().alias(_TOTAL))
        if (values[_TOTAL] != 0).any():
            found.append(_metric(f"{kind}_value_per_user", _joined(ones, values), variants, planned))
    labels = [kind for kind, settings in types.items() if settings.label]
    answered = events.filter(pl.col(EVENT_TYPE).is_in(labels)).select(REQUEST_ID).drop_nulls().unique()
    converted = (
        within.with_columns(pl.col(REQUEST_ID).is_in(answered[REQUEST_ID].implode()).alias(_TOTAL))
        .group_by(USER_ID)
        .agg(pl.col(_TOTAL).sum().cast(pl.Float64), pl.len().cast(pl.Float64).alias(_PER))
    )
    found.append(_metric("conversion_per_impression", everybody.join(converted, on=USER_ID), variants, planned))
    return found


def _joined(ones: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    return ones.join(totals, on=USER_ID, how="left").with_columns(pl.col(_TOTAL).fill_null(0.0))


def _metric(name: str, users: pl.DataFrame, variants: Sequence[str], planned: int) -> Metric:
    """users: variant, total and per of each user; the metric is the ratio of their sums."""
    groups = {variant: _group(users.filter(pl.col(VARIANT) == variant)) for variant in variants}
    control = groups[variants[0]]
    measured = [
        Measured(
            variant=variant,
            users=group.users,
            value=group.mean if group.users else None,
            difference=None if variant == variants[0] else of_difference(control, group, planned=planned),
        )
        for variant, group in groups.items()
    ]
    return Metric(name=name, variants=measured)


def _group(users: pl.DataFrame) -> Group:
    """The delta method: Deng, Knoblich and Lu, "Applying the delta method in metric analytics", 2018."""
    if users.is_empty():
        return Group(0, 0.0, 0.0)
    total, per = users[_TOTAL].to_numpy(), users[_PER].to_numpy()
    mean = float(total.sum() / per.sum())
    variance = float(np.var((total - mean * per) / per.mean(), ddof=1)) if len(total) > 1 else 0.0
    return Group(len(total), mean, variance)


def _interleaving(experiment: Experiment, within: pl.DataFrame, events: pl.DataFrame) -> Interleaving:
    """A user counts once, and prefers whose items had more of the user's choices."""
    first, second = experiment.shown
    # A choice of an item, however many events it has.
    chosen = events.select(REQUEST_ID, ITEM_ID).drop_nulls().unique()
    placed = within.select(REQUEST_ID, USER_ID, pl.col(ITEMS).alias(ITEM_ID), TEAMS).explode(ITEM_ID, TEAMS)
    by_user = (
        placed.join(chosen, on=[REQUEST_ID, ITEM_ID], how="semi")
        .group_by(USER_ID)
        .agg((pl.col(TEAMS) == first).sum().alias("a"), (pl.col(TEAMS) == second).sum().alias("b"))
    )
    wins, losses = int((by_user["b"] > by_user["a"]).sum()), int((by_user["b"] < by_user["a"]).sum())
    return Interleaving(
        first=first,
        second=second,
        users=by_user.height,
        prefer_first=losses,
        prefer_second=wins,
        share=of_share(wins, wins + losses),
    )


def _shadow(variant: str, impressions: pl.DataFrame, lists: pl.DataFrame) -> Shadow:
    both = lists.rename({ITEMS: "theirs"}).join(impressions.select(REQUEST_ID, ITEMS), on=REQUEST_ID)
    ours, theirs = (pl.col(column).list.head(SHADOW_TOP) for column in (ITEMS, "theirs"))
    same = both.select(ours.list.set_intersection(theirs).list.len() / ours.list.len()).to_series()
    took = lists["took_ms"].median()
    return Shadow(
        variant=variant,
        lists=lists.height,
        same_top=None if same.is_empty() else float(same.mean()),  # type: ignore[arg-type]
        took_ms=None if took is None else float(took),  # type: ignore[arg-type]
    )
