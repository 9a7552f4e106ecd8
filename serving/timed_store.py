"""The online store as requests see it: what it does not say in time a request does without."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from features.recent import Row
from recsys.catalogue import Catalogue
from recsys.state import ItemState
from serving.course import Course
from serving.live_behaviour import Snapshot
from serving.stage import Stage

USER_FEATURES: Final = "user_features"
"""What an answer goes without while the online store does not answer: users are then as if never seen."""


class TimedStore:
    """Another one, whose users are read within the time of a request."""

    def __init__(self, store: Snapshot) -> None:
        self._store = store
        # A single thread: of what reads a store no two may run at once.
        self._stage = Stage(USER_FEATURES, may_hang=True, threads=1)
        self._late: dict[str, Row] = {}
        """Of users who were read too late: many at once would be too late again and again."""
        self.course: Course | None = None
        """The request that reads; None: as long as it takes."""
        self.keep = 0.0
        """The seconds that what follows needs."""

    def online_as_of(self) -> datetime:
        return self._store.online_as_of()

    def online_written_at(self) -> datetime:
        return self._store.online_written_at()

    def online_items(self, catalogue: Catalogue) -> ItemState:
        return self._store.online_items(catalogue)

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        """Raises LeftOut when they are not there in time or cannot be read."""
        missing = [user for user in user_ids if user not in self._late]
        if missing:
            within = None if self.course is None else self.course.left(self.keep)
            self._stage.run(lambda: self._read(missing), size=len(missing), within=within)
        rows = [self._late[user] for user in user_ids]
        self._late = {}
        return rows

    def _read(self, users: Sequence[str]) -> None:
        # Those of the latest reading alone: nobody may ask for the others again.
        self._late = self._late | dict(zip(users, self._store.online_rows(users), strict=True))
