"""Users and items by numbers: what groups, sorts and joins millions of them takes a fraction of the time of their ids.

A key is the hash of an id, so that every day gives an id the same one; tables say which id it is of.
"""

import polars as pl

from recsys.errors import FeatureStoreError
from recsys.schema import ITEM_ID, USER_ID

USER_KEY = "user_key"
ITEM_KEY = "item_key"
KEY_OF = {USER_ID: USER_KEY, ITEM_ID: ITEM_KEY}
KEYS = 1 << 64
OTHER_SEED = 1


def key(name: str) -> pl.Expr:
    """The UInt64 of each id in a column."""
    return pl.col(name).hash()


def hashing() -> str:
    """Differs when this Polars gives other keys than the one that wrote a file."""
    return str(pl.Series(["recsys"]).hash()[0])


def id_of_key(name: str) -> list[pl.Expr]:
    """Aggregates of the rows of one key: its id, and what tells whether they have another one as well."""
    # Strings are compared by another hash: two ids that share both are further away than a broken disk.
    other = pl.col(name).hash(OTHER_SEED)
    return [pl.col(name).first(), other.min().alias("lowest"), other.max().alias("highest")]


def one_id_a_key(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows aggregated with id_of_key; raises FeatureStoreError when a key is that of two ids."""
    several = frame.filter(pl.col("lowest") != pl.col("highest"))
    if len(several):
        raise two_ids(several[name][0], name)
    return frame.drop("lowest", "highest")


def two_ids(found: str, name: str) -> FeatureStoreError:
    """That another id has the key of this one, with which its features would be mixed up."""
    return FeatureStoreError(f"{name} {found!r}: another {name} has the same hash; rename one of the two in the logs")
