"""The experiments that take place now: which of them a request takes part in, and with which engine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from recsys.assignment import variant_of
from recsys.config import Experiment
from serving.protocol import Engine


@dataclass(frozen=True)
class Running:
    """An experiment, and the engine of each of its variants; None: that of the champion, whichever it is."""

    name: str
    settings: Experiment
    engines: Mapping[str, Engine | None]

    def covers(self, surface: str, now: float) -> bool:
        """Whether it takes place there and then, in seconds since the epoch."""
        starts, ends = self.settings.span
        return starts <= now < ends and surface in (self.settings.surfaces or (surface,))


class Part(NamedTuple):
    """What a request takes part in.

    variant  what its user is shown; None where there are only shadows
    """

    experiment: Running
    variant: str | None

    @property
    def teams(self) -> tuple[str, str] | None:
        """The two variants whose lists are mixed; None where they are not."""
        settings = self.experiment.settings
        if settings.method != "interleave":
            return None
        first, second = settings.shown
        return first, second


class Experiments:
    """Those whose every engine is loaded, in the order of recsys.toml."""

    def __init__(self, running: Sequence[Running] = ()) -> None:
        self.running: Final = tuple(running)

    def parts(self, user_id: str | None, surface: str) -> list[Part]:
        """All that this request takes part in; the first one with a variant is the one whose list is shown.

        So an experiment further down gets the users that those above it leave, which are not chosen by what they are.
        """
        if user_id is None or not self.running:
            return []
        now, found = time.time(), list[Part]()
        for experiment in self.running:
            if not experiment.covers(surface, now):
                continue
            variant = variant_of(experiment.settings, experiment.name, user_id)
            if variant is None and experiment.settings.shown:
                continue
            if variant is not None and any(part.variant is not None for part in found):
                continue
            found.append(Part(experiment, variant))
        return found

    @property
    def engines(self) -> list[Engine]:
        """Those that answer beside the champion's; shadows, which nobody waits for, are not among them."""
        found: dict[int, Engine] = {}
        for experiment in self.running:
            for variant in experiment.settings.shown:
                engine = experiment.engines[variant]
                if engine is not None:
                    found[id(engine)] = engine
        return list(found.values())
