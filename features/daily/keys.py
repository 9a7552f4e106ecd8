"""Users and items by numbers: what groups, sorts and joins millions of them takes a fraction of the time of their ids.

A key is the hash of an id, so that every day gives an id the same one; tables say which id it is of.
"""

import polars as pl

from features.daily.sums import added, places_in
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


def ids_by_key(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row a key, with its id; raises FeatureStoreError when a key is that of two ids.

    name  the column of the ids
    """
    # Ids are told apart by another hash: two that share both are less likely than a broken disk.
    place = pl.int_range(pl.len(), dtype=pl.UInt32)
    numbers = rows.select(KEY_OF[name], place.alias("row"), pl.col(name).hash(OTHER_SEED).alias("other"))
    found = numbers.group_by(KEY_OF[name]).agg(
        pl.col("row").min(), pl.col("other").min().alias("lowest"), pl.col("other").max().alias("highest")
    )
    # Grouping strings with the numbers takes several times as long.
    ids = rows[name].gather(found["row"])
    if len(several := ids.filter(found["lowest"] != found["highest"])):
        raise two_ids(several[0], name)
    return found.select(KEY_OF[name], ids)


def sums_by_key(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row a key of what `name` says, with its id and the sums of all other columns, as features.daily.sums adds."""
    ids = ids_by_key(rows, name)
    places = places_in(ids, rows, KEY_OF[name])
    return ids.with_columns(added(rows.drop(KEY_OF[name], name), places, len(ids)))


def two_ids(found: str, name: str) -> FeatureStoreError:
    """That another id has the key of this one, with which its features would be mixed up."""
    return FeatureStoreError(f"{name} {found!r}: another {name} has the same hash; rename one of the two in the logs")
