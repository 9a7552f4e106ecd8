"""What each user chose, as one sparse matrix: what the ways in which items go with each other are computed from."""

from datetime import datetime

import polars as pl
import scipy.sparse as sp

from recsys.catalogue import Catalogue
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID


def chosen_matrix(
    interactions: pl.DataFrame, catalogue: Catalogue, as_of: datetime, interest: pl.Expr, *, half_life_days: float
) -> sp.csr_array:
    """(n_users, n_items): `interest` in each item, of the interactions with it before `as_of`, halved by age."""
    age_days = (pl.lit(as_of) - pl.col(TIMESTAMP).max()).dt.total_seconds() / 86_400
    pairs = (
        interactions.filter(pl.col(TIMESTAMP) < as_of)
        .group_by(USER_ID, ITEM_ID)
        .agg(interest=interest * 0.5 ** (age_days / half_life_days))
        .with_columns(
            column=pl.col(ITEM_ID).replace_strict(catalogue.index, default=None, return_dtype=pl.Int32),
            # By id: the order in which users are added up decides the last bits of a sum.
            row=pl.col(USER_ID).rank("dense") - 1,
        )
        .drop_nulls("column")
    )
    n_users = int(pairs["row"].max() or 0) + 1  # type: ignore[arg-type]
    place = (pairs["row"].to_numpy(), pairs["column"].to_numpy())
    return sp.csr_array((pairs["interest"].to_numpy(), place), (n_users, len(catalogue)))
