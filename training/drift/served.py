"""What the champion ranks from: features of candidates and its scores, in the reference and in the latest days.

As they were served, where the event log has enough of them with the champion's name. Else made anew for both: for users
who were active, with the candidates of the moment at which their days began, by the champion's files.

Reads   log/impressions/day=DATE/*.parquet (written by `recsys export`), features/, bundles/champion
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.recommender import Ranker
from features.trees import open_ranker
from recsys.bundle import Bundle
from recsys.bundle_files import SCORER_FILE
from recsys.config import Drift
from recsys.drift import Figure, Span
from recsys.interest import InterestScorer
from recsys.schema import ITEM_ID, REQUEST_ID, TIMESTAMP, USER_ID
from recsys.state import Floats, Mask, Positions
from recsys.workspace import Workspace
from training.contenders import as_served_now, check_comparable
from training.drift.periods import Periods, within
from training.drift.stability import moved
from training.pipeline import Pipeline

LISTS: Final = 400
"""At most, of each period: they make the figures sure enough."""

ENOUGH_LISTS: Final = 100
"""Fewer logged ones in a period say too little."""

ROWS_A_LIST: Final = 50
"""Candidates of a list that are looked at, drawn."""

CALENDAR: Final = ("hour", "weekday")
"""Features that are the same for all users of a moment: of computed ones they say nothing."""

CANDIDATES: Final = "candidates"
FEATURES: Final = "features"
"""Of exported impressions, beside the columns of recsys.schema (serving.exported_rows)."""


@dataclass(frozen=True)
class Served:
    """Candidates of some lists.

    matrix  float32 (n, n_features)
    scores  float64 (n,)
    lists   int64 (n,), which list each is of
    names   of the features
    keys    of logged ones REQUEST_ID and ITEM_ID of each row
    """

    matrix: NDArray[np.float32]
    scores: Floats
    lists: Positions
    names: tuple[str, ...]
    keys: pl.DataFrame | None = None

    @property
    def count(self) -> int:
        """How many lists there are."""
        return len(np.unique(self.lists))


@dataclass(frozen=True)
class BothServed:
    """Before and now."""

    way: Literal["logged", "computed"]
    before: Served
    now: Served

    def figures(self, settings: Drift) -> list[Figure]:
        """One for each feature, and one for the scores."""
        lists = float(self.before.count), float(self.now.count)
        columns = [
            (at, name) for at, name in enumerate(self.before.names) if self.way == "logged" or name not in CALENDAR
        ]
        found = [
            moved(settings, "features", name, self.before.matrix[:, at], self.now.matrix[:, at], independent=lists)
            for at, name in columns
        ]
        return [*found, moved(settings, "scores", "scores", self.before.scores, self.now.scores, independent=lists)]


class Champion:
    """A bundle that ranks, with the vectors that it has by now."""

    def __init__(self, pipeline: Pipeline, bundle: Bundle) -> None:
        """Raises BundleError when its features are not those of this configuration."""
        self.bundle = bundle
        self.pipeline, self.vectors = as_served_now(pipeline, bundle)
        history_items = int(bundle.manifest.text["history_items"])
        self._scorer = InterestScorer(bundle.path / SCORER_FILE, self.vectors, history_items=history_items)
        check_comparable(pipeline, bundle, self._scorer.signals)
        self.names = tuple(bundle.manifest.features)
        self.ranker: Ranker = open_ranker(bundle.path, self.names)

    def served(self, periods: Periods) -> BothServed | str:
        """Logged or computed; or why neither."""
        workspace, name = self.pipeline.workspace, self.bundle.manifest.bundle_id
        latest = periods.latest
        before = Span(latest.since - timedelta(days=self.pipeline.config.drift.reference_days), latest.since)
        logged = [self._logged(logged_features(workspace, name, span)) for span in (before, latest)]
        if all(served.count >= ENOUGH_LISTS for served in logged):
            return BothServed("logged", *logged)
        spans = [Span(max(span.until - self._days, span.since), span.until) for span in (periods.reference, latest)]
        if not all(users_of(self.pipeline.interactions, span) for span in spans):
            return "nobody was active in the reference, or in the latest days"
        self.pipeline.compute_features_at({span.since for span in spans})
        return BothServed("computed", *(self._computed(span) for span in spans))

    @property
    def _days(self) -> timedelta:
        return timedelta(days=self.pipeline.config.drift.days)

    def _logged(self, rows: pl.DataFrame) -> Served:
        """Of the rows of exported impressions."""
        drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:LISTS])
        lists, keys, matrices = [], [], [np.empty((0, len(self.names)), dtype=np.float32)]
        for at, (request, items, features) in enumerate(rows[drawn].iter_rows()):
            # All of them: clicks are compared by those that were shown, which are the best.
            lists += [at] * len(items)
            keys.append(pl.DataFrame({REQUEST_ID: [request] * len(items), ITEM_ID: items}))
            matrices.append(np.array(features, dtype=np.float32))
        matrix = np.concatenate(matrices)
        return Served(
            matrix, self._scores(matrix), np.array(lists, dtype=np.int64), self.names, pl.concat(keys) if keys else None
        )

    def _computed(self, span: Span) -> Served:
        pipeline = self.pipeline
        users = users_of(pipeline.interactions, span)
        recommender = pipeline.recommender(pipeline.store.items_at(pipeline.catalogue, span.since), self._scorer)
        unborn = self._not_yet(span)
        random = np.random.default_rng(0)
        matrices, lists = [], []
        for at, user in enumerate(pipeline.store.users_at(users, pipeline.catalogue, span.since)):
            matrix = recommender.prepare(user, unborn, recommender.signals(user)).matrix
            drawn = np.sort(random.permutation(len(matrix))[:ROWS_A_LIST])
            matrices.append(matrix[drawn])
            lists.append(np.full(len(drawn), at))
        matrix = np.concatenate(matrices)
        return Served(matrix, self._scores(matrix), np.concatenate(lists), self.names)

    def _scores(self, matrix: NDArray[np.float32]) -> Floats:
        return np.asarray(self.ranker.predict(matrix), dtype=np.float64) if len(matrix) else np.empty(0)

    def _not_yet(self, span: Span) -> Mask:
        """The items that nobody had touched by the end of a time, bool (n_items,): most were not there."""
        catalogue, rows = self.pipeline.catalogue, self.pipeline.interactions
        touched = rows.filter(pl.col(TIMESTAMP) < span.until)[ITEM_ID].unique()
        mask = np.ones(len(catalogue), dtype=np.bool_)
        mask[[catalogue.index[item] for item in touched if item in catalogue.index]] = False
        return mask


def users_of(interactions: pl.DataFrame, span: Span) -> Sequence[str]:
    """LISTS of those who were active, drawn; the same for the same log."""
    users: list[str] = within(interactions, span)[USER_ID].unique().sort().to_list()
    return [users[at] for at in np.random.default_rng(0).permutation(len(users))[:LISTS].tolist()]


def logged_features(workspace: Workspace, bundle: str, span: Span) -> pl.DataFrame:
    """REQUEST_ID, CANDIDATES and FEATURES of the lists that a bundle made in a time, of those that were logged with
    them, in the order of time."""
    # A file is of one day.
    days = [f"day={span.since + timedelta(days=day):%Y-%m-%d}" for day in range((span.until - span.since).days + 2)]
    schema: dict[str, pl.DataType] = {
        REQUEST_ID: pl.String(),
        CANDIDATES: pl.List(pl.String),
        FEATURES: pl.List(pl.List(pl.Float32)),
    }
    found = [pl.DataFrame(schema=schema)]
    for file in (path for day in days for path in sorted((workspace.exported / "impressions" / day).glob("*.parquet"))):
        rows = pl.scan_parquet(file).filter(
            pl.col(TIMESTAMP) >= span.since,
            pl.col(TIMESTAMP) < span.until,
            pl.col("bundle") == bundle,
            pl.col(FEATURES).is_not_null(),
        )
        found.append(rows.sort(TIMESTAMP, REQUEST_ID).select(schema).collect())
    return pl.concat(found)
