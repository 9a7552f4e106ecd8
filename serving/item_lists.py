"""Items that are the same for everybody: those like a given one, and those that are trending."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from recsys.retrieval import Query
from recsys.retrieval.merge import CandidateSet, best, merge
from recsys.retrieval.popular import popular
from recsys.retrieval.similar import ItemQuery, retrieve_similar
from recsys.retrieval.trending import trending
from recsys.state import Mask
from serving.arranging import known_positions, not_allowed, shown_before
from serving.asked import Asked
from serving.ladder import FINISHING_S
from serving.live import Live
from serving.stage import Stage
from serving.trust import Trust

TRENDING: Final = "trending"
POPULAR: Final = "popular"


class ItemLists:
    """Of one engine."""

    def __init__(self, live: Live, trust: Trust) -> None:
        self._live = live
        self._similar, self._trending = (Stage(name, trust=trust) for name in ("similar", TRENDING))

    def similar(self, asked: Asked, item_id: str, exclude: Sequence[str]) -> CandidateSet:
        """Items like one that the catalogue has; where there is no time to look for them what is popular."""
        live = self._live
        live.catch_up(asked.course)
        excluded = self._excluded(asked, exclude)
        position = live.catalogue.index[item_id]
        query = ItemQuery(position, live.items.state, live.items.vectors, excluded)
        # Lists longer than the answer: what several of them agree on comes first.
        limit = max(self._most(asked), live.recommender.limit)
        excluded[position] = True
        return self._found(asked, self._similar, lambda: retrieve_similar(query, limit=limit), excluded)

    def trending(self, asked: Asked, exclude: Sequence[str]) -> CandidateSet:
        """What more users than before choose just now; behind it, and where nothing does, what is popular."""
        live = self._live
        live.catch_up(asked.course)
        excluded = self._excluded(asked, exclude)
        query, limit = Query(live.nobody(), live.recommender.items, None, excluded), self._most(asked)

        def find() -> CandidateSet:
            rising, chosen = (
                best(np.where(excluded, -np.inf, channel(query)), limit) for channel in (trending, popular)
            )
            # One list behind the other: what is trending comes first, however few choose it.
            positions = np.concatenate([rising, chosen[~np.isin(chosen, rising)]])[:limit]
            brought = np.column_stack([np.isin(positions, rising), np.isin(positions, chosen)])
            return CandidateSet(positions, brought, (TRENDING, POPULAR))

        return self._found(asked, self._trending, find, excluded)

    def _excluded(self, asked: Asked, exclude: Sequence[str]) -> Mask:
        """The items that may not be found, those that earlier answers showed among them: bool (n_items,)."""
        excluded = not_allowed(self._live, asked, self._live.nobody())
        excluded[known_positions(self._live, exclude)] = True
        excluded[shown_before(self._live, asked)] = True
        return excluded

    def _found(self, asked: Asked, stage: Stage, find: Callable[[], CandidateSet], excluded: Mask) -> CandidateSet:
        found = asked.course.attempt(stage, find, keep=FINISHING_S)
        if found is not None:
            return found
        users = np.where(excluded, -np.inf, self._live.recommender.items.popularity)
        return merge({POPULAR: best(users, self._most(asked))}, limit=self._most(asked))

    def _most(self, asked: Asked) -> int:
        return len(self._live.items) if asked.limit is None else asked.offset + asked.limit
