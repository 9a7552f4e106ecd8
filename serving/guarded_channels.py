"""Channels at serving: one that fails is left out of that request, and costs no answer.

guard = GuardedChannels(channels)
… retrieve with guard.channels …
degraded += guard.failed()
"""

import logging
import traceback
from typing import Final

from recsys.bundle import Manifest
from recsys.errors import ChannelError
from recsys.retrieval import Channel, Channels, Query
from recsys.state import Floats

logger: Final = logging.getLogger(__name__)


class GuardedChannels:
    """Those of one engine. Not thread-safe."""

    def __init__(self, channels: Channels) -> None:
        self.channels: Final = channels.with_each(self._guarded)
        self._failed: list[str] = []
        self._told: set[str] = set()

    def failed(self) -> list[str]:
        """What the answer had to do without since this was asked last, as "channel NAME"."""
        found, self._failed = self._failed, []
        return [f"channel {name}" for name in found]

    def _guarded(self, name: str, channel: Channel) -> Channel:
        def scores(query: Query) -> Floats:
            try:
                return channel(query)
            except Exception as error:  # whatever it raises, the other channels have something to say
                self._fail(name, error)
                return query.nothing()

        return scores

    def _fail(self, name: str, error: Exception) -> None:
        self._failed.append(name)
        if name not in self._told:
            # Once, not at each request.
            self._told.add(name)
            logger.error("the channel %s brings nothing to a request: %s", name, _reason(error))


def tell_other_channels(manifest: Manifest, channels: Channels) -> None:
    """Say in the log where the channels that serve are not those that brought what the ranker learned from."""
    trained, serving = set(manifest.channels), set(channels.names)
    if trained and trained != serving:
        differences = [("lacks", trained - serving), ("has besides", serving - trained)]
        found = " and ".join(f"{verb} {', '.join(sorted(names))}" for verb, names in differences if names)
        logger.warning(
            "%s: of the channels that it was trained with this server %s; install them, "
            "set [retrieval.budgets] as it was, or train again",
            manifest.bundle_id,
            found,
        )


def _reason(error: Exception) -> str:
    """What failed. Of a channel's own error its kind and the place: the message might carry a user's id."""
    cause = error.__cause__ if isinstance(error, ChannelError) else error
    if cause is None:
        return str(error)
    return f"{type(cause).__qualname__}\n{''.join(traceback.format_tb(cause.__traceback__))}"
