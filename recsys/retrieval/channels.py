"""The channels, in the order in which equal ranks are merged, and which of them a project uses."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from recsys.config import Retrieval
from recsys.errors import ConfigError
from recsys.retrieval.cooccurrence import cooccurrence
from recsys.retrieval.fresh import fresh
from recsys.retrieval.interest import interest, interest_popular
from recsys.retrieval.own import GROUP, load_own, own_entries, source_of
from recsys.retrieval.popular import popular
from recsys.retrieval.popular_by import popular_by
from recsys.retrieval.popular_in_category import popular_in_category
from recsys.retrieval.query import Query
from recsys.retrieval.regression import regression
from recsys.retrieval.repeat import repeat
from recsys.retrieval.successors import successors
from recsys.retrieval.successors_by_text import successors_by_text
from recsys.retrieval.trending import trending
from recsys.state import Floats

Channel = Callable[[Query], Floats]

CHANNELS: Final[dict[str, Channel]] = {
    "repeat": repeat,
    "interest_popular": interest_popular,
    "successors": successors,
    "successors_by_text": successors_by_text,
    "regression": regression,
    "cooccurrence": cooccurrence,
    "interest": interest,
    "popular": popular,
    "fresh": fresh,
}
"""Those that every project uses, unless it switches them off."""

BY_TEXT: Final = ("interest_popular", "successors_by_text", "interest")
"""Of CHANNELS those that go by text: in a catalogue too large to score whole they order what an index and the others
bring."""

ON_REQUEST: Final[dict[str, Channel]] = {
    "trending": trending,
    "popular_in_category": popular_in_category,
}
"""Those that only a project uses which gives them a budget. They come behind CHANNELS."""


@dataclass(frozen=True)
class Channels:
    """The channels in use, in the order in which equal ranks are merged.

    named    name → channel
    budgets  name → most items of it among the candidates; one without a budget brings as many as there are candidates
    sources  what else than the engine's code results depend on: those of users' own channels
    """

    named: Mapping[str, Channel]
    budgets: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[str, Channel]]:
        return iter(self.named.items())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.named)

    def most(self, name: str, limit: int) -> int:
        """How many items a channel brings where there may be `limit` candidates."""
        return min(limit, self.budgets.get(name, limit))

    def by_text(self) -> tuple["Channels", "Channels"]:
        """Those of BY_TEXT, and the others."""
        parts = [{n: one for n, one in self if (n in BY_TEXT) is is_text} for is_text in (True, False)]
        return replace(self, named=parts[0]), replace(self, named=parts[1])

    def with_each(self, change: Callable[[str, Channel], Channel]) -> "Channels":
        """The same, with each channel changed."""
        return replace(self, named={name: change(name, channel) for name, channel in self})

    @classmethod
    def of(cls, config: Retrieval) -> "Channels":
        """Those of a recsys.toml, with users' own behind the engine's.

        Raises ConfigError when a budget is that of no channel or when none is left, ChannelError when an entry point
        cannot be loaded or has the name of another channel.
        """
        engines = CHANNELS | ON_REQUEST | {f"popular_by_{name}": popular_by(name) for name in config.popular_by}
        own, budgets = own_entries(taken=engines), config.budgets
        if unknown := sorted(budgets.keys() - engines.keys() - own.keys()):
            raise ConfigError(
                f"[retrieval.budgets] names {unknown}, which are no channels; expected some of {[*engines, *own]}. "
                f"A channel of your own needs an entry point in the group {GROUP}"
            )
        off = {name for name in [*engines, *own] if budgets.get(name, 0 if name in ON_REQUEST else 1) == 0}
        used = [entry for name, entry in own.items() if name not in off]
        named = {name: channel for name, channel in engines.items() if name not in off}
        named |= {entry.name: load_own(entry) for entry in used}
        if not named:
            raise ConfigError("[retrieval.budgets] switches every channel off; leave one of them on")
        return cls(named, budgets, tuple(map(source_of, used)))


DEFAULT_CHANNELS: Final = Channels(CHANNELS)
"""Those of a project that says nothing of channels and has none of its own."""
