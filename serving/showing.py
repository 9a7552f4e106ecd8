"""From a request to what the engine is asked, and from what it found to what is shown and logged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request

from recsys.rules.expression import ExpressionError
from serving import watching
from serving.asked import Asked
from serving.course import Course
from serving.interleaved import Question, mixed
from serving.pages import Page
from serving.problems import unprocessable
from serving.protocol import Engine
from serving.rules import DEFAULT_SURFACE
from serving.service import caller_of
from serving.types import AnswerItem, Impression, Order, RankedList, ShadowList, ShownExperiment
from serving.variants import Part

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
    may_mix: bool = False
    """Whether the lists of two variants may be mixed here, where an experiment says so."""

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        caller = caller_of(self.request)
        self.service = caller.service
        # First: it brings the experiments up to date as well.
        champion: Engine = self.service.ready_engine()
        self._parts = self.service.experiments.parts(self.user_id, self.order.surface or DEFAULT_SURFACE)
        self._shown: Part | None = next((part for part in self._parts if part.variant is not None), None)
        self._teams: list[str] | None = None
        self.service.shadows.is_busy()
        self._champion = champion
        is_mixed = self._shown is not None and self._shown.teams is not None
        self.engine = champion if self._shown is None or is_mixed else self._engine_of(self._shown, self._shown.variant)
        if is_mixed and not self.may_mix:
            self._shown = None
        self.bundle = self.engine.bundle_id
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
        """What the engine is to do. Raises the 422 for more than may be asked for, or a surface that there is not."""
        shown = offset if page is None else len(page.shown)
        if limit is not None and limit > self.maximum:
            raise unprocessable(f"{self.fields_at}limit", f"the limit is {limit}; expected at most {self.maximum}")
        if shown + (limit or 0) > self.maximum:
            at = "offset" if page is None else "page"
            raise unprocessable(
                f"{self.fields_at}{at}",
                f"{shown} items in front and a limit of {limit}; expected at most {self.maximum} together",
            )
        usual = self.service.config.serving.deadline_ms
        deadline_ms = self.order.deadline_ms or (max(usual, EXPLAINED_DEADLINE_MS) if explain else usual)
        self._deadline_ms = deadline_ms
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

    @property
    def scores_together(self) -> bool:
        """Whether a request to rank is to go through `engine.with_interest`; a mixture asks two engines, each alone."""
        return self.engine.scores_together and (self._shown is None or self._shown.teams is None)

    def answer(self, asked: Asked, question: Question) -> RankedList:
        """What the user is shown: the list of the variant, or a mixture of two; shadows are asked beside it.

        Raises ExpressionError.
        """
        part = self._shown
        if part is not None and part.teams is not None:
            first, second = (self._engine_of(part, team) for team in part.teams)
            courses = Course(self._deadline_ms / 2, started=self._started), asked.course
            ranked, self._teams = mixed(part, (first, second), question, asked, courses=courses)
            self.bundle = f"{first.bundle_id}+{second.bundle_id}"
        else:
            ranked = question(self.engine, asked)
        self._ask_shadows(asked, question)
        return ranked

    @property
    def experiment(self) -> ShownExperiment | None:
        """What the answer is a part of."""
        part = self._shown
        if part is None:
            return None
        return ShownExperiment(part.experiment.name, None if part.teams else part.variant)

    def default_limit(self, limit: int | None, offset: int = 0) -> int:
        """What a list without a limit has."""
        return max(1, min(DEFAULT_LIMIT, self.maximum - offset)) if limit is None else limit

    def bad_filter(self, error: ExpressionError) -> Exception:
        """The 422 for a condition that cannot be read, or that does not fit the columns."""
        return unprocessable(f"{self.fields_at}filter", str(error))

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
            bundle=self.bundle,
            query=query,
            propensities=ranked.propensities,
            experiment=self.experiment,
            teams=self._teams,
        )
        self.service.event_log.show(impression, ranked.features)

    def took_ms(self) -> float:
        """Until now."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def _engine_of(self, part: Part, variant: str | None) -> Engine:
        return part.experiment.engines[variant or ""] or self._champion

    def _ask_shadows(self, asked: Asked, question: Question) -> None:
        """As long as it takes them: nobody waits."""
        for part in self._parts:
            for variant, settings in part.experiment.settings.variants.items():
                engine = part.experiment.engines[variant]
                if settings.shadow and engine is not None:
                    about = ShadowList(
                        request_id=self.request_id,
                        experiment=part.experiment.name,
                        variant=variant,
                        bundle=engine.bundle_id,
                    )
                    self.service.shadows.ask(
                        engine,
                        lambda asked_too: question(asked_too, replace(asked, course=Course(), begun=None)),
                        about,
                    )

    def _surface(self) -> str:
        """Whose rules are followed. Raises the 422 for a surface that there is not, where there are any."""
        known, name = self.service.surfaces, self.order.surface
        if name is None or not known or name in known or name == DEFAULT_SURFACE:
            return name or DEFAULT_SURFACE
        raise unprocessable(
            f"{self.fields_at}surface", f"no such surface; expected one of {sorted({*known, DEFAULT_SURFACE})}"
        )
