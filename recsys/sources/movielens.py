"""MovieLens as GroupLens publishes it: a folder in one of its three layouts.

Reads   FOLDER/u.data, u.item, u.user                  ml-100k
        FOLDER/ratings.dat, movies.dat, users.dat      ml-1m; ml-10m, which has no users
        FOLDER/ratings.csv, movies.csv                 ml-latest-small, ml-latest, ml-20m, ml-25m, ml-32m
Yields  items, interactions (like: 4 stars or more; rating: fewer; the stars as value), users where there are any
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recsys.errors import DataError
from recsys.parsing import missing_to_null
from recsys.schema import CATEGORY, EVENT_TYPE, ITEM_ID, PUBLISHED_AT, TIMESTAMP, TITLE, USER_ID, VALUE
from recsys.sources import Chunk
from recsys.sources.delimited import read_csv
from recsys.sources.separated import read_separated
from recsys.sources.stars import event_type_of

RATING = (USER_ID, ITEM_ID, VALUE, TIMESTAMP)
MOVIE = (ITEM_ID, TITLE, "genres")
CSV_NAMES = {"userId": USER_ID, "movieId": ITEM_ID, "rating": VALUE}
# The columns of u.item after the first five, as u.genre lists them; "unknown" is no genre.
GENRES = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
NO_GENRES = "(no genres listed)"


@dataclass(frozen=True)
class File:
    """A file of a layout: its columns and what stands between them; no separator: CSV with a header."""

    name: str
    columns: tuple[str, ...]
    separator: str | None = None

    def read(self, folder: Path) -> Iterator[Chunk]:
        if self.separator is not None:
            # ml-1m and ml-100k are Latin-1, ml-10m is UTF-8.
            yield from read_separated(folder / self.name, self.columns, self.separator, latin=True)
            return
        for chunk in read_csv(folder / self.name):
            rows = chunk.rows.rename(CSV_NAMES, strict=False)
            if missing := [name for name in self.columns if name not in rows.columns]:
                raise DataError(
                    f"{folder / self.name}: found the columns {chunk.rows.columns}, {missing} are missing; "
                    "expected those of MovieLens, download the file again"
                )
            yield replace(chunk, rows=rows)


LAYOUTS: tuple[dict[str, File], ...] = (
    {
        "interactions": File("u.data", RATING, "\t"),
        "items": File("u.item", (ITEM_ID, TITLE, "released", "video_released", "url", *GENRES), "|"),
        "users": File("u.user", (USER_ID, "age", "gender", "occupation", "zip_code"), "|"),
    },
    {
        "interactions": File("ratings.dat", RATING, "::"),
        "items": File("movies.dat", MOVIE, "::"),
        "users": File("users.dat", (USER_ID, "gender", "age", "occupation", "zip_code"), "::"),
    },
    {"interactions": File("ratings.csv", RATING), "items": File("movies.csv", MOVIE)},
)


@dataclass(frozen=True)
class MovieLens:
    """The ratings, movies and users of one folder."""

    path: Path

    def tables(self) -> tuple[str, ...]:
        return tuple(table for table, file in self._layout.items() if (self.path / file.name).exists())

    def size(self, table: str) -> int:
        return (self.path / self._layout[table].name).stat().st_size

    def chunks(self, table: str) -> Iterator[Chunk]:
        for chunk in self._layout[table].read(self.path):
            rows = pl.DataFrame([missing_to_null(column) for column in chunk.rows.get_columns()])
            if table == "interactions":
                rows = _ratings(rows)
            elif table == "items":
                rows = _movies(rows)
            yield replace(chunk, rows=rows)

    @property
    def _layout(self) -> dict[str, File]:
        for layout in LAYOUTS:
            if all((self.path / layout[table].name).exists() for table in ("interactions", "items")):
                return layout
        wanted = " or ".join(f"{files['interactions'].name} with {files['items'].name}" for files in LAYOUTS)
        raise DataError(
            f"{self.path}: expected a folder of MovieLens, with {wanted} in it; "
            "unpack the download and correct interactions under [source]"
        )


def _ratings(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(USER_ID, ITEM_ID, event_type_of(pl.col(VALUE)).alias(EVENT_TYPE), TIMESTAMP, VALUE)


def _movies(rows: pl.DataFrame) -> pl.DataFrame:
    """item_id, title as published, category (the first genre), genres ("Comedy, Drama"), year; where it is known
    published_at, as an ISO date."""
    if "genres" in rows.columns:
        genres = pl.when(pl.col("genres") != NO_GENRES).then(pl.col("genres")).str.split("|")
    else:
        flagged = [pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in GENRES[1:]]
        genres = pl.concat_list(flagged).list.drop_nulls()
    columns = [
        pl.col(ITEM_ID),
        pl.col(TITLE),
        genres.list.first().alias(CATEGORY),
        pl.when(genres.list.len() > 0).then(genres.list.join(", ")).alias("genres"),
        pl.col(TITLE).str.extract(r"\((\d{4})\)\s*$").alias("year"),
    ]
    if "released" in rows.columns:
        day = pl.col("released").str.to_date("%d-%b-%Y", strict=False).dt.to_string()
        columns.append(pl.coalesce(day, "released").alias(PUBLISHED_AT))
    return rows.select(columns)
