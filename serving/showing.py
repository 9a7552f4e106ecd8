"""From a request to what the engine is asked, and from what it found to what is shown and logged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request

from recsys.rules.expression import ExpressionError
from serving import watching
from serving.asked import Asked
from serving.course import Course
from serving.pages import Page
from serving.problems import invalid, unprocessable
from serving.protocol import Engine
from serving.rules import DEFAULT_SURFACE
from serving.service import caller_of
from serving.types import AnswerItem, Impression, Order, RankedList

DEFAULT_LIMIT: Final = 10
EXPLAINED_DEADLINE_MS: Final = 1000.0
"""Reasons cost milliseconds each; who asks for them waits for them."""

IMPRESSIONS: Final = "impressions"
"""What is not logged while the event log fails."""

BUNDLE: Final = "bundle"
"""What is older than it should be while a newer one is refused."""

IN_BODY: Final = "$."
IN_QUERY: Final = "?"
"""Where the fields of a request are, in the path of an error."""


@dataclass
class Showing:
    """One request on its way, from when its fields are read; `fields_at`: IN_BODY or IN_QUERY."""

    request: Request[Any, Any, Any]
    order: Order
    user_id: str | None
    fields_at: str = IN_BODY

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        caller = caller_of(self.request)
        self.service = caller.service
        self.engine: Engine = self.service.ready_engine()
        self.maximum = caller.max_candidates
        self.request_id = watching.request_id()

    def asked(
        self,
        *,
        limit: int | None,
        offset: int = 0,
        page: Page | None = None,
        query: str | None = None,
        channels: Sequence[str] | None = None,
        explain: bool = False,
    ) -> Asked:
        """What the engine is to do. Raises the 400 or 422 that names a bad field."""
        shown = offset if page is None else len(page.shown)
        if limit is not None and limit > self.maximum:
            raise invalid(f"{self.fields_at}limit", f"the limit is {limit}; expected at most {self.maximum}")
        if shown + (limit or 0) > self.maximum:
            at = "offset" if page is None else "page"
            raise invalid(
                f"{self.fields_at}{at}",
                f"{shown} items in front and a limit of {limit}; expected at most {self.maximum} together",
            )
        usual = self.service.config.serving.deadline_ms
        deadline_ms = self.order.deadline_ms or (max(usual, EXPLAINED_DEADLINE_MS) if explain else usual)
        return Asked(
            user_id=self.user_id,
            limit=limit,
            offset=offset,
            page=page,
            query=query,
            channels=None if channels is None else tuple(channels),
            explain=explain,
            where=self.order.filter,
            surface=self._surface(),
            request_id=self.request_id,
            course=Course(deadline_ms, started=self._started),
        )

    def default_limit(self, limit: int | None, offset: int = 0) -> int:
        """What a list without a limit has."""
        return max(1, min(DEFAULT_LIMIT, self.maximum - offset)) if limit is None else limit

    def bad_filter(self, error: ExpressionError) -> Exception:
        """The 400 for a condition that cannot be read, or that does not fit the columns."""
        return invalid(f"{self.fields_at}filter", str(error))

    def items(self, ranked: RankedList, *, first: int = 1) -> list[AnswerItem]:
        """As in an answer; `first` is the place of the first."""
        places = ranked.places or range(first, first + len(ranked.items))
        return [
            AnswerItem(item.item_id, item.score, place, item.channels, item.title, item.rules, item.reasons)
            for place, item in zip(places, ranked.items, strict=True)
        ]

    def degraded(self, ranked: RankedList) -> list[str]:
        """What the answer does without; that it is shown is not logged while the log cannot be written."""
        found = list(ranked.degraded)
        if self.service.bundle_refused:
            found.append(f"{BUNDLE}: refused")
        if self.user_id is not None and self.service.event_log.failing:
            found.append(f"{IMPRESSIONS}: error")
        return found

    def log(self, ranked: RankedList, *, route: str, query: str | None = None) -> None:
        """Log what the answer shows, if anything, and to whom, if that was said.

        On the surface asked for, or the route where there are no surfaces.
        """
        if not ranked.items or self.user_id is None:
            return
        impression = Impression(
            request_id=self.request_id,
            user_id=self.user_id,
            timestamp=datetime.now(UTC),
            items=[item.item_id for item in ranked.items],
            surface=self.order.surface or (DEFAULT_SURFACE if self.service.surfaces else route),
            bundle=self.engine.bundle_id,
            query=query,
            propensities=ranked.propensities,
        )
        self.service.event_log.show(impression, ranked.features)

    def took_ms(self) -> float:
        """Until now."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def _surface(self) -> str:
        """Whose rules are followed. Raises the 422 for a surface that there is not, where there are any."""
        known, name = self.service.surfaces, self.order.surface
        if name is None or not known or name in known or name == DEFAULT_SURFACE:
            return name or DEFAULT_SURFACE
        raise unprocessable(
            f"{self.fields_at}surface", f"no such surface; expected one of {sorted({*known, DEFAULT_SURFACE})}"
        )
