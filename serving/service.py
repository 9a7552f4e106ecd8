"""What the routes share: the engine that answers now, the event log and the configuration, of the caller's project."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

from litestar import Request
from litestar.exceptions import ServiceUnavailableException

from recsys.config import Config
from serving.bundle_mirror import BundleMirror
from serving.bundle_shelf import BundleShelf
from serving.events import EventLog
from serving.keys_file import LiveKeys
from serving.protocol import Engine
from serving.rules import Surfaces
from serving.shadow import Shadows
from serving.traffic import Traffic
from serving.variants import Experiments


@dataclass
class Service:
    """One project. What is put into `between_requests` runs where requests are answered, before the next one."""

    event_log: EventLog
    config: Config
    engine: Engine | None = None
    """None until it is loaded."""
    keys: LiveKeys | None = None
    """Those that open this project; None: whoever reaches the application may do everything."""
    surfaces: Surfaces = field(default_factory=dict)
    """Those whose rules the engine follows."""
    traffic: Traffic = field(default_factory=Traffic)
    """How its requests were answered."""
    bundles: Path | None = None
    """The folder of its bundles, for how old the one is that serves."""
    drift: Path | None = None
    """What has moved since the champion was trained, if `recsys drift` has written it (recsys.drift)."""
    rules_refused: bool = False
    """Whether recsys.toml has other rules by now, which cannot be used."""
    bundle_refused: bool = False
    """Whether there is a newer bundle, or there are newer features, by now that cannot be loaded."""
    shelf: BundleShelf | None = None
    """Its bundles, to be listed and promoted; None: nobody can."""
    forget: Callable[[Sequence[str]], dict[str, int]] | None = None
    """Removes all that servers have of users, and counts it (serving.forgetting.served); None: nobody can."""
    mirror: BundleMirror | None = None
    """What follows the object store of its bundles; None: there is none."""
    experiments: Experiments = field(default_factory=Experiments)
    """Those that take place."""
    shadows: Shadows = field(init=False)
    _between: "SimpleQueue[Callable[[], None]]" = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.shadows = Shadows(self.event_log)

    def engines(self) -> list[Engine]:
        """All that answer: that of the champion, and those of experiments. Raises the 503 as `ready_engine` does."""
        first = self.ready_engine()
        return [first, *(engine for engine in self.experiments.engines if engine is not first)]

    def between_requests(self, work: Callable[[], None]) -> None:
        """Have this done before the next request; from any thread."""
        self._between.put(work)

    def ready_engine(self) -> Engine:
        """The engine. Raises the 503 while there is none."""
        while not self._between.empty():
            self._between.get()()
        if self.engine is None:
            raise ServiceUnavailableException(
                "the engine is still loading; try again, GET /readyz tells when", headers={"Retry-After": "1"}
            )
        return self.engine


class Caller(NamedTuple):
    """Whom a request comes from, as far as its key says (serving.access)."""

    service: Service
    """Of the only project that it can reach."""
    max_candidates: int
    """Most candidates, and most items of an answer."""


CALLER: Final = "recsys_caller"
"""Where a request has its Caller."""


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    caller = request.scope["state"][CALLER]
    assert isinstance(caller, Caller)
    return caller


def service_of(request: Request[Any, Any, Any]) -> Service:
    return caller_of(request).service
