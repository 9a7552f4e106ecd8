"""The answers of an engine: POST /v1/rank, /v1/recommend and /v1/explain become ranked lists here."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final

import numpy as np

from recsys.retrieval.merge import CandidateSet
from recsys.state import Floats, Mask, UserState
from serving.arranging import Pins, allowed, arranged, hidden, known_positions, not_allowed, pins, shown_before
from serving.asked import Asked
from serving.begun import Begun
from serving.explaining import Explaining
from serving.ladder import BY_PLACE, Ladder, Scored
from serving.live import Live
from serving.surface_rules import MAX_PER_CATEGORY, Shown
from serving.turns import Turns
from serving.types import Filtered, RankedItem, RankedList, ServedFeatures
from serving.watching import note_candidates

OF_REQUEST: Final = ("candidates",)
"""Provenance of an item that the request itself proposed."""

OF_PINS: Final = ("pins",)
"""Provenance of an item that no channel brought, but that has a place by the rules."""

NO_RULES: Final = ()
"""Those that changed the place of an item where it has it by its score."""


class Answering:
    """Of one engine."""

    def __init__(self, live: Live, ladder: Ladder, explaining: Explaining, *, logged_share: float) -> None:
        """logged_share  of the answers, with which their features are given"""
        self._live, self._ladder, self._explaining = live, ladder, explaining
        self._turns = Turns()
        self._logged_share, self._random = logged_share, np.random.default_rng()

    def rank(self, asked: Asked, candidates: Sequence[str]) -> RankedList:
        """The known candidates in the order of the user's interest, then by the rules of the surface.

        An unknown user with a query gets the best answers to it, and one without the most popular first.
        """
        live = self._live
        begun = asked.begun if asked.begun is not None and asked.begun.by is self else self._begin(asked, candidates)
        user, positions, filtered = begun.user, begun.positions, list(begun.filtered)
        if user is None or len(positions) == 0:
            return RankedList([], begun.unknown, asked.course.degraded, filtered=filtered)
        scored = self._ladder.rank(asked, user, positions, begun.interest)
        started = time.perf_counter()
        last = len(positions) if asked.limit is None else asked.offset + asked.limit
        shown = arranged(live, asked, positions, scored.scores, pins(live, asked), last)
        filtered += [Filtered(self._id(positions[row]), MAX_PER_CATEGORY) for row in shown.arrangement.full]
        rows = shown.rows[asked.offset :]
        items = self._items(scored, rows, shown, repeat(OF_REQUEST))
        self._ladder.finishing.add(len(positions), time.perf_counter() - started)
        if asked.explain:
            items = self._explaining.explained(asked, items, user, scored, rows)
        return RankedList(
            items,
            begun.unknown,
            asked.course.degraded,
            self._to_log(asked, scored),
            filtered,
            _cut(shown.propensities, asked.offset),
        )

    @property
    def scores_together(self) -> bool:
        """Whether `with_interest` is of use."""
        return self._ladder.scores_together

    async def with_interest(self, asked: Asked, candidates: Sequence[str]) -> Asked:
        """A request to rank these, as `rank` takes it, with the interest of its user scored together with others.

        Raises ExpressionError.
        """
        # Its turn ends with its interest: from there on it becomes an answer before any other one begins.
        async with self._turns.turn(self._ladder.at_once(asked, len(candidates))) as waited:
            asked.course.begins_later(waited)
            begun = self._begin(asked, candidates)
            if begun.user is not None and len(begun.positions):
                interest = await self._ladder.interest_together(asked, begun.user, begun.positions)
                begun = replace(begun, interest=interest)
        return replace(asked, begun=begun)

    def _begin(self, asked: Asked, candidates: Sequence[str]) -> Begun:
        """Who asks, and which of the candidates may be shown; nobody where none is known."""
        live = self._live
        places = live.items.positions(candidates)
        unknown, positions = [candidates[at] for at in np.flatnonzero(places < 0).tolist()], places[places >= 0]
        note_candidates(len(positions), len(unknown))
        if len(positions) == 0:
            return Begun(self, None, positions, unknown, [])
        user = live.user(asked.user_id, asked.course, keep=self._ladder.keep_for(len(positions)))
        positions, filtered = allowed(live, positions, hidden(live, asked, user))
        return Begun(self, user, positions, unknown, filtered)

    def recommend(self, asked: Asked, *, exclude: Sequence[str], exclude_seen: bool) -> RankedList:
        """The best of the catalogue; for an unknown user the best answers to the query, or popular and fresh items.

        Then by the rules of the surface.
        """
        live = self._live
        user = live.user(asked.user_id, asked.course, keep=self._ladder.keep_for_retrieval())
        excluded, before = self._excluded(asked, user, exclude, exclude_seen=exclude_seen)
        last = before + asked.offset + (len(live.items) if asked.limit is None else asked.limit)
        pinned = self._pins(asked, excluded, before, last)
        found, scored = self._ladder.recommend(asked, user, excluded, np.array(list(pinned), dtype=np.int64))
        started = time.perf_counter()
        # Where no rule gives them their places, what was shown before is no candidate.
        cut = asked.offset + (before if pinned else 0)
        shown = arranged(live, asked, found.positions, scored.scores, pinned, last)
        rows = shown.rows[cut:][: asked.limit]
        items = self._items(scored, rows, shown, [found.provenance(row) or OF_PINS for row in rows])
        self._ladder.finishing.add(len(found), time.perf_counter() - started)
        if asked.explain:
            items = self._explaining.explained(asked, items, user, scored, rows)
        propensities = _cut(shown.propensities, cut)
        return RankedList(items, [], asked.course.degraded, self._to_log(asked, scored), propensities=propensities)

    def explain(self, asked: Asked, items: Sequence[str]) -> RankedList:
        """The places of items among all that the user could be recommended, and the reasons for them."""
        live = self._live
        places_of = live.items.positions(items)
        unknown, wanted = [items[at] for at in np.flatnonzero(places_of < 0).tolist()], places_of[places_of >= 0]
        user = live.user(asked.user_id, asked.course, keep=self._ladder.keep_for_retrieval())
        wanted, filtered = allowed(live, wanted, hidden(live, asked, user))
        excluded = not_allowed(live, asked, user)
        pinned = {item: place for item, place in pins(live, asked).items() if not excluded[item]}
        also = np.concatenate([wanted, np.array(list(pinned), dtype=np.int64)])
        found, scored = self._ladder.recommend(asked, user, excluded, np.unique(also))
        shown = arranged(live, asked, found.positions, scored.scores, pinned, len(found))
        filtered += [
            Filtered(self._id(found.positions[row]), MAX_PER_CATEGORY)
            for row in shown.arrangement.full
            if found.positions[row] in wanted
        ]
        places = [at for at, row in enumerate(shown.rows) if found.positions[row] in wanted]
        rows = [shown.rows[at] for at in places]
        ranked = self._items(scored, rows, shown, [found.provenance(row) or OF_REQUEST for row in rows])
        ranked = self._explaining.explained(asked, ranked, user, scored, rows)
        return RankedList(
            ranked, unknown, asked.course.degraded, filtered=filtered, places=[place + 1 for place in places]
        )

    def listed(self, asked: Asked, found: CandidateSet) -> RankedList:
        """Items that are the same for everybody, in their order, by the rules of the surface but for its pins."""
        before, cut = shown_before(self._live, asked), asked.offset
        places: Floats = 1.0 / (len(before) + np.arange(1, len(found) + 1))
        in_front: Pins = {}
        if before and self._live.rules.of(asked.surface) is not None:
            # Caps and diversity look at the whole list.
            in_front, cut = dict(zip(before, range(len(before)), strict=True)), len(before)
            found = found.with_items(np.array(before, dtype=np.int64))
            places = np.concatenate([places, np.zeros(len(found) - len(places))])
        scored = Scored(found.positions, places, None, BY_PLACE)
        last = len(found) if asked.limit is None else cut + asked.limit
        shown = arranged(self._live, asked, found.positions, places, in_front, last)
        rows = shown.rows[cut:]
        items = self._items(scored, rows, shown, map(found.provenance, rows))
        return RankedList(items, [], asked.course.degraded, propensities=_cut(shown.propensities, cut))

    def _excluded(
        self, asked: Asked, user: UserState, exclude: Sequence[str], *, exclude_seen: bool
    ) -> tuple[Mask, int]:
        """The items that may not be found, bool (n_items,), and how many of them earlier answers showed."""
        excluded = not_allowed(self._live, asked, user)
        if exclude_seen:
            excluded[user.history] = True
        excluded[known_positions(self._live, exclude)] = True
        shown = shown_before(self._live, asked)
        excluded[shown] = True
        return excluded, len(shown)

    def _pins(self, asked: Asked, excluded: Mask, before: int, last: int) -> Pins:
        """Those of the surface, and in front what earlier answers showed: caps and diversity look at the whole list."""
        live = self._live
        if live.rules.of(asked.surface) is None:
            return {}
        found = {
            item: place for item, place in pins(live, asked).items() if before <= place < last and not excluded[item]
        }
        return dict(zip(shown_before(live, asked), range(before), strict=True)) | found

    def _to_log(self, asked: Asked, scored: Scored) -> ServedFeatures | None:
        """Of some answers all that their features depended on; of none that had to do without something."""
        if asked.course.degraded or scored.matrix is None:
            return None
        if asked.user_id is not None and self._live.users.sent(asked.user_id):
            # No table has what was sent.
            return None
        if self._logged_share == 0 or self._random.random() >= self._logged_share:
            return None
        behaviour, ids = self._live.behaviour, [self._id(item) for item in scored.positions.tolist()]
        places = behaviour.position, behaviour.exposure.position, self._live.items_place
        return ServedFeatures(behaviour.as_of, behaviour.written_at, *places, ids, scored.matrix)

    def _id(self, position: int) -> str:
        return self._live.catalogue.item_ids[position]

    def _items(
        self, scored: Scored, rows: Sequence[int], shown: Shown, channels: Iterable[tuple[str, ...]]
    ) -> list[RankedItem]:
        """Rows of the candidates as items; `channels`: what proposed the item of each row."""
        at = np.array(rows, dtype=np.int64)
        positions, scores = scored.positions[at].tolist(), scored.scores[at].tolist()
        ids, titles = map(self._live.catalogue.item_ids.__getitem__, positions), map(self._live.items.title, positions)
        rules = repeat(NO_RULES) if shown.is_by_score else map(shown.rules_of, rows)
        # Without a loop in Python: there may be hundreds.
        return list(map(RankedItem, ids, scores, channels, titles, rules))


def _cut(propensities: list[float] | None, offset: int) -> list[float] | None:
    return None if propensities is None else propensities[offset:]
