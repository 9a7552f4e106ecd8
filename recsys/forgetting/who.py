"""The users that are to be forgotten, and which rows are theirs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from recsys.forgetting.key import UserKey
from recsys.schema import USER_ID, UTC_MICROSECONDS


@dataclass(frozen=True)
class Who:
    """By their hashes, and by their ids as long as these are known: then nothing need be hashed to find them.

    moments  hash → the moment as of which the user is forgotten; what came later is of one who came back
    ids      the same by the ids
    """

    key: UserKey
    moments: Mapping[str, datetime]
    ids: Mapping[str, datetime] | None = None

    def among(self, user_ids: Iterable[str | None]) -> dict[str, datetime]:
        """Those of these ids that are to be forgotten, in their order, each with its moment."""
        known = (user for user in user_ids if user is not None)
        if self.ids is not None:
            return {user: self.ids[user] for user in known if user in self.ids}
        hashed = ((user, self.key.hash(user)) for user in known)
        return {user: self.moments[found] for user, found in hashed if found in self.moments}

    def in_column(self, users: pl.Series) -> dict[str, datetime]:
        """Those in a column of ids."""
        return self.among(users.unique(maintain_order=True))


def is_of(users: Mapping[str, datetime], time: str | None) -> pl.Expr:
    """Whether a row is of one of these, from before the moment of that user.

    time  the column that says when it came; None: it does not matter
    """
    if time is None:
        return pl.col(USER_ID).is_in(list(users)).fill_null(False)
    at = pl.col(USER_ID).replace_strict(users, default=None, return_dtype=UTC_MICROSECONDS)
    return (pl.col(time) < at).fill_null(False)
