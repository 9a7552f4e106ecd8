"""Amazon Reviews 2023 as it is published: the reviews of a category, and what its products are.

Reads   reviews (All_Beauty.jsonl) and products (meta_All_Beauty.jsonl): a file or a folder each, .gz or unpacked
Yields  interactions (like: 4 stars or more; rating: fewer; the stars as value), items

The variants of a product (asin) are one item, its parent_asin, as the publication wants it. average_rating and
rating_number are left out: they sum up all reviews, also those that at any moment are still to come.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from recsys.schema import CATEGORY, EVENT_TYPE, ITEM_ID, PRICE, TIMESTAMP, TITLE, USER_ID, VALUE
from recsys.sources import Chunk
from recsys.sources.files import find_files
from recsys.sources.jsonlines import JSON_ENDINGS, read_jsonl
from recsys.sources.stars import event_type_of

REVIEW = ("user_id", "parent_asin", "rating", "timestamp")
PRODUCT = ("parent_asin", "title", "main_category", "categories", "features", "description", "store", "price")
AMOUNT = re.compile(r"\d[\d,]*\.?\d*")


@dataclass(frozen=True)
class AmazonReviews:
    """The reviews at one path and, where it is given, the products at another."""

    reviews: Path
    products: Path | None = None

    def tables(self) -> tuple[str, ...]:
        return ("interactions",) if self.products is None else ("items", "interactions")

    def size(self, table: str) -> int:
        return sum(file.stat().st_size for file in self._files(table))

    def chunks(self, table: str) -> Iterator[Chunk]:
        names, shape = (PRODUCT, _products) if table == "items" else (REVIEW, _likes)
        for file in self._files(table):
            for chunk in read_jsonl(file, keep=names):
                absent = [pl.lit(None, pl.String).alias(name) for name in names if name not in chunk.rows.columns]
                yield replace(chunk, rows=shape(chunk.rows.with_columns(absent)))

    def _files(self, table: str) -> list[Path]:
        path = self.products if table == "items" else self.reviews
        assert path is not None, "only tables() are read"
        return find_files(path, JSON_ENDINGS)


def _likes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        pl.col("user_id").alias(USER_ID),
        pl.col("parent_asin").alias(ITEM_ID),
        event_type_of(pl.col("rating")).alias(EVENT_TYPE),
        pl.col("timestamp").alias(TIMESTAMP),
        pl.col("rating").alias(VALUE),
    )


def _products(rows: pl.DataFrame) -> pl.DataFrame:
    """item_id, title, description, category (the narrowest), brand (the store), price, main_category, features."""
    paths = [_texts(value) for value in rows.get_column("categories")]
    return rows.select(
        pl.col("parent_asin").alias(ITEM_ID),
        pl.col("title").alias(TITLE),
        pl.Series("description", [" ".join(_texts(value)) for value in rows.get_column("description")], pl.String),
        pl.coalesce(pl.Series([path[-1] if path else None for path in paths], dtype=pl.String), "main_category").alias(
            CATEGORY
        ),
        pl.col("store").alias("brand"),
        pl.Series(PRICE, [_amount(value) for value in rows.get_column("price")], pl.Float64),
        pl.col("main_category"),
        pl.Series("features", [" ".join(_texts(value)) for value in rows.get_column("features")], pl.String),
    )


def _texts(value: Any) -> list[str]:
    """The texts of a list, which is JSON where other products have no list there."""
    if isinstance(value, str) and value.startswith("["):
        value = msgspec.json.decode(value)
    if isinstance(value, str):
        return [value]
    return [str(text) for text in value] if isinstance(value, Sequence | pl.Series) else []


def _amount(value: Any) -> float | None:
    """A price, of which some are written as "from 13.99" or "—"; the lower end of a span."""
    found = AMOUNT.search(str(value)) if value is not None else None
    return float(found[0].replace(",", "")) if found else None
