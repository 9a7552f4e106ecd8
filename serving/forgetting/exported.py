"""The exported files of the event log without forgotten users: each is replaced at once, and may then be empty.

Reads and writes  log/{interactions,impressions,users}/day=DATE/*.parquet
"""

from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from recsys.forgetting.who import Who, is_of
from recsys.schema import TIMESTAMP, UPDATED_AT, USER_ID
from serving.export_folder import open_folder
from serving.exported_rows import RECEIVED_AT

TIME_OF: Final = {"interactions": RECEIVED_AT, "impressions": TIMESTAMP, "users": UPDATED_AT}
"""Table with users → the column that says when a row came."""


def forget_exported(folder: Path, who: Who) -> int:
    """Remove the rows of these users; returns how many. An export that runs is waited for.

    A file whose rows all go stays, without any: whoever reads the folder now has its name.
    """
    if not folder.exists():
        return 0
    removed = 0

    def change(table: str, path: Path, new: Path) -> bool:
        nonlocal removed
        users = who.in_column(pl.read_parquet(path, columns=[USER_ID], hive_partitioning=False)[USER_ID])
        if not users:
            return False
        rows = pl.read_parquet(path, hive_partitioning=False)
        kept = rows.filter(~is_of(users, TIME_OF[table]))
        kept.write_parquet(new, compression="zstd")
        removed += len(rows) - len(kept)
        return len(kept) < len(rows)

    with open_folder(folder) as exported:
        for table in TIME_OF:
            exported.replace(table, partial(change, table))
    return removed
