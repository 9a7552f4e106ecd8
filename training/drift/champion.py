"""The champion as it is now, and what it ranks from, before and now.

As it was served, where the event log has enough of that. Else made anew for both times: for users who were active, with
the candidates of the moment at which their days began, by the champion's files.

Reads   log/, features/, bundles/champion
Writes  features/   snapshots of up to three moments
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import lightgbm as lgb
import numpy as np
import polars as pl

from features.recommender import Ranker
from features.trees import open_ranker
from recsys.bundle import Bundle
from recsys.bundle_files import CATALOGUE_FILE, RANKER_FILE, SCORER_FILE, VECTORS_FILE
from recsys.drift import Span
from recsys.encoder import bundle_encoder, bundle_text
from recsys.interest import InterestScorer, Vectors
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.state import Mask, Positions
from training.contenders import as_served_now, check_comparable
from training.drift.logged import as_served, logged_lists
from training.drift.periods import Periods, within
from training.drift.served import BothServed, Served
from training.pipeline import Pipeline

LISTS: Final = 400
"""At most, before and now: they make the figures sure enough."""

ENOUGH_LISTS: Final = 100
"""Fewer logged ones say too little."""

ROWS_A_LIST: Final = 50
"""Candidates of a computed list that are looked at, drawn."""

AGES: Final = ("item_age_days", "user_age_days")
MINOR: Final = 0.01
WEEK: Final = timedelta(days=7)


class Champion:
    """A bundle that ranks, with the vectors that it has by now."""

    def __init__(self, pipeline: Pipeline, bundle: Bundle) -> None:
        """Raises BundleError when its features are not those of this configuration."""
        self.bundle = bundle
        self.pipeline, self.vectors = as_served_now(pipeline, bundle)
        history_items = int(bundle.manifest.text["history_items"])
        self._scorer = InterestScorer(bundle.path / SCORER_FILE, self.vectors, history_items=history_items)
        check_comparable(pipeline, bundle, self._scorer.signals)
        self._names = tuple(bundle.manifest.features)
        self._ranker: Ranker = open_ranker(bundle.path, self._names)

    @property
    def own_vectors(self) -> Vectors:
        """Of the items that it was published with: float32 (n, d)."""
        found: Vectors = np.load(self.bundle.path / VECTORS_FILE)
        return found

    @property
    def own_texts(self) -> list[str]:
        """What these were made of."""
        encoder = bundle_encoder(self.bundle, self.pipeline.config.text.precision)
        return bundle_text(self.bundle, encoder).of_table(pl.read_parquet(self.bundle.path / CATALOGUE_FILE))

    def served(self, periods: Periods) -> BothServed | str:
        """Logged or computed; or why neither."""
        return self._logged(periods.latest) or self._computed(periods)

    def _logged(self, latest: Span) -> BothServed | None:
        """Against what the same champion served before the latest days; None where there is too little of either."""
        before = Span(latest.since - timedelta(days=self.pipeline.config.drift.reference_days), latest.since)
        name = self.bundle.manifest.bundle_id
        lists = [logged_lists(self.pipeline.workspace, name, span) for span in (before, latest)]
        if any(len(rows) < ENOUGH_LISTS for rows in lists):
            return None
        then, now = (as_served(rows, self._ranker, columns=len(self._names), most=LISTS) for rows in lists)
        return BothServed("logged", self._names, then, now, self._ages, self._minor)

    def _computed(self, periods: Periods) -> BothServed | str:
        days = timedelta(days=self.pipeline.config.drift.days)
        spans = [Span(moment, moment + days) for moment in moments_of(periods, days)]
        found = [[span for span in some if self._users(span)] for some in (spans, [periods.latest])]
        if not all(found):
            return "nobody was active in the reference, or in the latest days"
        self.pipeline.compute_features_at({span.since for some in found for span in some})
        then, now = (self._of_moments(some) for some in found)
        return BothServed("computed", self._names, then, now, self._ages, self._minor)

    @property
    def _ages(self) -> frozenset[str]:
        """Time since what is over: the first interaction, or a moment that a table has."""
        project = self.pipeline.features.project
        attributes = [("item", project.item_attributes), ("user", project.user_attributes)]
        moments = [f"{whose}_{name}_days" for whose, some in attributes for name, kind in some if kind == "timestamp"]
        return frozenset([*AGES, *moments])

    @property
    def _minor(self) -> frozenset[str]:
        """Features that brought the ranker less than MINOR of its gain; none of a ranker without trees."""
        trees = self.bundle.path / RANKER_FILE
        if not trees.exists():
            return frozenset()
        gains = lgb.Booster(model_file=trees).feature_importance("gain")
        return frozenset(name for name, gain in zip(self._names, gains, strict=True) if gain < MINOR * gains.sum())

    def _users(self, span: Span) -> Sequence[str]:
        """Those who were active."""
        users: list[str] = within(self.pipeline.interactions, span)[USER_ID].unique().sort().to_list()
        return users

    def _of_moments(self, spans: Sequence[Span]) -> Served:
        pipeline, random = self.pipeline, np.random.default_rng(0)
        matrices, items, parts = [], [], []
        lists: list[Positions] = []
        for part, span in enumerate(spans):
            users = self._users(span)
            users = [users[at] for at in random.permutation(len(users))[: LISTS // len(spans)].tolist()]
            recommender = pipeline.recommender(pipeline.store.items_at(pipeline.catalogue, span.since), self._scorer)
            unborn = self._untouched(span.until)
            for user in pipeline.store.users_at(users, pipeline.catalogue, span.since):
                prepared = recommender.prepare(user, unborn, recommender.signals(user))
                drawn = np.sort(random.permutation(len(prepared.matrix))[:ROWS_A_LIST])
                matrices.append(prepared.matrix[drawn])
                items.append(prepared.candidates.positions[drawn])
                parts.append(np.full(len(drawn), part))
                lists.append(np.full(len(drawn), len(lists)))
        matrix = np.concatenate(matrices)
        scores = np.asarray(self._ranker.predict(matrix), dtype=np.float64)
        return Served(matrix, scores, np.concatenate(lists), np.concatenate(items), np.concatenate(parts))

    def _untouched(self, until: datetime) -> Mask:
        """The items that nobody had touched by then, bool (n_items,): most were not there."""
        catalogue, rows = self.pipeline.catalogue, self.pipeline.interactions
        touched = rows.filter(pl.col(TIMESTAMP) < until)[ITEM_ID].unique()
        mask = np.ones(len(catalogue), dtype=np.bool_)
        mask[[catalogue.index[item] for item in touched if item in catalogue.index]] = False
        return mask


def moments_of(periods: Periods, days: timedelta) -> list[datetime]:
    """From when so many days of the reference are looked at: one or two moments, the earlier first.

    Whole weeks before the latest days, and two weeks apart if it goes: another hour or weekday would pass for a move,
    and the windows of the ranker, of which there are snapshots, are usually such.
    """
    reference, latest = periods.reference, periods.latest.since
    back = -(-(latest + days - reference.until) // WEEK)
    last = latest - back * WEEK
    if last < reference.since:
        return [max(reference.until - days, reference.since)]
    for apart in (2 * WEEK, WEEK):
        if last - apart >= reference.since:
            return [last - apart, last]
    return [last]
