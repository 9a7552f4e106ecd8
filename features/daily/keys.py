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


def ids_by_key(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row a key, with its id; raises FeatureStoreError when a key is that of two ids.

    name  the column of the ids
    """
    # Ids are told apart by another hash: two that share both are less likely than a broken disk.
    numbers = rows.select(
        KEY_OF[name], row=pl.int_range(pl.len(), dtype=pl.UInt32), other=pl.col(name).hash(OTHER_SEED)
    )
    found = (
        numbers.lazy()
        .group_by(KEY_OF[name])
        .agg(pl.col("row").min(), lowest=pl.col("other").min(), highest=pl.col("other").max())
        .collect(engine="streaming")
    )
    ids = rows[name].gather(found["row"])
    if len(several := ids.filter(found["lowest"] != found["highest"])):
        raise FeatureStoreError(
            f"{name} {several[0]!r}: another {name} has the same hash; rename one of the two in the logs"
        )
    return found.select(KEY_OF[name], ids)


def sums_by_key(rows: pl.LazyFrame, name: str) -> pl.DataFrame:
    """One row a key of what `name` says, with its id and the sums of all other columns."""
    # Grouping strings with the numbers takes several times as long.
    ids = ids_by_key(rows.select(KEY_OF[name], name).collect(engine="streaming"), name)
    sums = rows.select(pl.exclude(name)).group_by(KEY_OF[name]).agg(pl.all().sum())
    return ids.join(sums.collect(engine="streaming"), on=KEY_OF[name])
