"""A source, and behind its rows what `recsys export` wrote out of the event log of the same project.

LOG/TABLE/day=DATE/*.parquet, in the columns of recsys.schema.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recsys.parsing import read
from recsys.schema import DELETED, UPDATED_AT, USER_ID
from recsys.sources import Chunk, Source
from recsys.sources.files import FileSource

EXPORTED = ("items", "interactions", "impressions", "users")


@dataclass(frozen=True)
class WithExported:
    """Rows of the event log come last, and pass the same checks. Of a user the latest version there takes the place of
    what the source has.

    columns  table → our column name = its name in the files of `source`: whoever reads both expects one name
    """

    source: Source
    log: FileSource
    columns: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, root: Path, folder: Path, source: Source, columns: Mapping[str, Mapping[str, str]]) -> "WithExported":
        """`folder`: of [log]. It need not be there yet.

        Items are read where the source has any: else every id of the log of interactions is an item.
        """
        tables = [table for table in EXPORTED if any((folder / table).glob("day=*/*.parquet"))]
        known = source.tables()
        paths = {table: folder / table for table in tables if table != "items" or table in known}
        return cls(source, FileSource(root, paths), columns)

    def tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.source.tables(), *self.log.tables())))

    def size(self, table: str) -> int:
        return sum(source.size(table) for source in (self.source, self.log) if table in source.tables())

    def chunks(self, table: str) -> Iterator[Chunk]:
        if table == "users" and table in self.log.tables():
            yield from self._users()
            return
        typed = True
        if table in self.source.tables():
            for chunk in self.source.chunks(table):
                typed = chunk.typed
                yield chunk
        if table in self.log.tables():
            for chunk in self.log.chunks(table):
                # Attributes come and go with the items of a day.
                yield replace(chunk, rows=self._named(table, chunk.rows), typed=typed, loose=True)

    def _users(self) -> Iterator[Chunk]:
        typed, exported = True, list(self.log.chunks("users"))
        # By the column alone: several machines may have written here, and each numbers its own rows.
        versions = pl.concat([chunk.rows for chunk in exported], how="diagonal_relaxed").sort(
            UPDATED_AT, maintain_order=True
        )
        latest = versions.unique(USER_ID, keep="last", maintain_order=True)
        name = self.columns.get("users", {}).get(USER_ID, USER_ID)
        for chunk in self.source.chunks("users") if "users" in self.source.tables() else ():
            typed = chunk.typed
            if name in chunk.rows.columns:
                users = read(chunk.rows[name], pl.String())
                own = ~users.is_in(latest[USER_ID].implode()).fill_null(False)
                chunk = replace(chunk, rows=chunk.rows.filter(own), lines=chunk.lines.filter(own))
            yield chunk
        said = latest.filter(~pl.col(DELETED)).drop(UPDATED_AT, DELETED)
        lines, size = pl.int_range(1, said.height + 1, eager=True), sum(chunk.size for chunk in exported)
        file = exported[0].file.rpartition("/day=")[0]
        yield Chunk(file, self._named("users", said), lines, typed=typed, loose=True, size=size)

    def _named(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows under the names that the files of the source have."""
        theirs = {ours: name for ours, name in self.columns.get(table, {}).items() if ours in rows.columns}
        taken = [name for name in theirs.values() if name in rows.columns and name not in theirs]
        return rows.drop(taken).rename(theirs)
