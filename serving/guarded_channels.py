"""Channels at serving: one that fails, or is too slow, is left out of that request, and costs no answer.

guard = GuardedChannels(channels)
guard.course = course
… retrieve with guard.channels …
"""

import logging
from typing import Final

from recsys.bundle import Manifest
from recsys.retrieval import CHANNELS, Channel, Channels, Query
from recsys.state import Floats
from serving.course import Course
from serving.stage import LeftOut, Stage

SHARE_OF_TIME: Final = 0.5
"""Of what a request has left, at most so much for a channel of the project: the others have something to say, too."""

logger: Final = logging.getLogger(__name__)


class GuardedChannels:
    """Those of one engine. Not thread-safe."""

    def __init__(self, channels: Channels) -> None:
        self.channels: Final = channels.with_each(self._guarded)
        self.course = Course()
        """The request, which is told what it has to do without."""

    def _guarded(self, name: str, channel: Channel) -> Channel:
        stage, is_own = Stage(f"channel {name}", may_hang=True), name not in CHANNELS

        def scores(query: Query) -> Floats:
            course = self.course
            left = course.left()
            # How long the engine's take is known of the retrieval as a whole.
            within = SHARE_OF_TIME * left if is_own and left is not None else None
            try:
                return stage.run(lambda: channel(query), within=within)
            except LeftOut as left_out:
                course.go_without(stage.name, left_out.reason)
                return query.nothing()

        return scores


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
