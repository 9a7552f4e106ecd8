"""A list that two engines make together, and which item is whose: recsys.interleaving on ranked lists."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from recsys.interleaving import team_draft
from serving.asked import Asked
from serving.course import Course
from serving.protocol import Engine
from serving.types import RankedList
from serving.variants import Part

Question = Callable[[Engine, Asked], RankedList]
"""What a route asks an engine."""


class Mixed(NamedTuple):
    """A list, and the variant that put each item there."""

    ranked: RankedList
    teams: list[str]


def mixed(
    part: Part,
    engines: tuple[Engine, Engine],
    question: Question,
    asked: Asked,
    *,
    courses: tuple[Course, Course],
) -> Mixed:
    """The lists of both engines, each asked for as many items as are shown, as one.

    courses  of each, so that the first does not take the time of the second

    How probable an item was at its place is not known: propensities stay None, though places were given by chance.
    """
    teams = part.teams
    assert teams is not None
    # The draft needs what lies in front of the page; a page of an answer leaves that out by itself.
    last = None if asked.limit is None else asked.offset + asked.limit
    first, second = (
        question(engine, replace(asked, limit=last, offset=0, course=course))
        for engine, course in zip(engines, courses, strict=True)
    )
    found = {item.item_id: item for item in second.items}, {item.item_id: item for item in first.items}
    before = 0 if asked.page is None else len(asked.page.shown)
    draws = asked.request_id if asked.page is None else f"{asked.page.request_id}-{before}"
    draft = team_draft(
        [item.item_id for item in first.items],
        [item.item_id for item in second.items],
        length=len(found[0] | found[1]) if last is None else last,
        request_id=draws,
        experiment=part.experiment.name,
    )
    shown = list(zip(draft.items, draft.of_first, strict=True))[asked.offset :]
    items = [found[of_first][item] for item, of_first in shown]
    everything = set(draft.items)
    ranked = RankedList(
        items,
        [item for item in first.unknown if item in set(second.unknown)],
        list(dict.fromkeys([*first.degraded, *second.degraded])),
        filtered=[item for item in first.filtered if item.item_id not in everything],
    )
    return Mixed(ranked, [teams[0] if of_first else teams[1] for _, of_first in shown])
