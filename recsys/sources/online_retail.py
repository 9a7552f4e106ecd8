"""The UCI "Online Retail" log: invoice lines of a British gift wholesaler, as interactions, items and users.

Reads   online_retail.parquet with the columns of the publication
Yields  interactions (one purchase a line), items (one row a version of an item's text), users (country)

A line is cleaned away, not refused, where it says nothing about a customer's interest in a product: see CLEANED.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from recsys.errors import DataError
from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    PRICE,
    PUBLISHED_AT,
    REQUEST_ID,
    TIMESTAMP,
    TITLE,
    UPDATED_AT,
    USER_ID,
    UTC_MICROSECONDS,
    VALUE,
)
from recsys.sources import Chunk

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
CLEANED = {
    "customer unknown": pl.col("CustomerID").is_null(),
    "cancellation": pl.col("InvoiceNo").str.starts_with("C"),
    "quantity not positive": pl.col("Quantity") <= 0,
    "not a product": ~pl.col("StockCode").str.contains(r"^\d{5}"),
}


@dataclass(frozen=True)
class OnlineRetail:
    """The invoice lines of one Parquet file."""

    path: Path

    def tables(self) -> tuple[str, ...]:
        return ("items", "interactions", "users")

    def size(self, table: str) -> int:
        return self.path.stat().st_size

    def chunks(self, table: str) -> Iterator[Chunk]:
        rows = {"items": item_versions, "interactions": purchases, "users": customers}[table](self.lines)
        cleaned = self._cleaned if table == "interactions" else {}
        numbers = rows.get_column("line") if "line" in rows.columns else pl.Series("line", range(1, rows.height + 1))
        yield Chunk(self.path.name, rows.drop("line", strict=False), numbers, size=self.size(table), cleaned=cleaned)

    @cached_property
    def _raw(self) -> pl.DataFrame:
        """Every line of the file with its number and the first reason to clean it away."""
        try:
            raw = pl.read_parquet(self.path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{self.path}: {error}; expected the Parquet file of UCI Online Retail") from error
        if missing := [name for name in COLUMNS if name not in raw.columns]:
            raise DataError(
                f"{self.path}: found the columns {raw.columns}, {missing} are missing; "
                'expected those of UCI Online Retail, or set format = "files" under [source]'
            )
        if not isinstance(raw.schema["InvoiceDate"], pl.Datetime):
            raise DataError(f"{self.path}: InvoiceDate is {raw.schema['InvoiceDate']}, expected Datetime; convert it")
        reasons = [pl.when(test).then(pl.lit(reason)) for reason, test in CLEANED.items()]
        return raw.with_row_index("line", offset=1).with_columns(cleaned=pl.coalesce(reasons))

    @cached_property
    def _cleaned(self) -> dict[str, int]:
        counts = self._raw.get_column("cleaned").drop_nulls().value_counts(sort=True)
        return dict(counts.iter_rows())

    @cached_property
    def lines(self) -> pl.DataFrame:
        """The lines that stay: line, invoice, user_id, item_id, timestamp, description, quantity, price, country."""
        kept = self._raw.filter(pl.col("cleaned").is_null())
        if kept.is_empty():
            raise DataError(f"{self.path}: found no line to keep, only {self._cleaned}; expected purchases of products")
        return kept.select(
            pl.col("line").cast(pl.Int64),
            pl.col("InvoiceNo").alias("invoice"),
            pl.col("CustomerID").cast(pl.Int64).cast(pl.String).alias(USER_ID),
            pl.col("StockCode").str.to_uppercase().alias(ITEM_ID),
            # A few invoices were typed in over two minutes; equal times make the lines one basket.
            pl.col("InvoiceDate")
            .first()
            .over("InvoiceNo")
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC")
            .alias(TIMESTAMP),
            pl.col("Description").str.strip_chars().alias("description"),
            pl.col("Quantity").alias("quantity"),
            pl.col("UnitPrice").alias(PRICE),
            pl.col("Country").alias("country"),
        )


def purchases(lines: pl.DataFrame) -> pl.DataFrame:
    """One interaction a line, with the amount paid as its value."""
    return lines.select(
        "line",
        pl.format("{}-{}", "invoice", "line").alias(EVENT_ID),
        USER_ID,
        ITEM_ID,
        pl.lit("purchase").alias(EVENT_TYPE),
        TIMESTAMP,
        pl.lit(None, pl.String).alias(REQUEST_ID),
        (pl.col("quantity") * pl.col(PRICE)).alias(VALUE),
    )


def customers(lines: pl.DataFrame) -> pl.DataFrame:
    """user_id and the country of the customer's first line."""
    return lines.sort(TIMESTAMP, "line").unique(USER_ID, keep="first", maintain_order=True).select(USER_ID, "country")


def item_versions(lines: pl.DataFrame) -> pl.DataFrame:
    """The text of every item over time: a version starts when another description becomes the most frequent one.

    item_id, title, price (of the line that starts the version), published_at (first line), updated_at. A version
    counts for what happens after its updated_at, never at that moment. The first version is the description seen
    first; among equally frequent descriptions the one seen first wins.
    """
    told = lines.filter(pl.col("description") != "").sort(ITEM_ID, TIMESTAMP, "line")
    versions: list[tuple[str, str, float, datetime, datetime]] = []
    for item, *columns in told.group_by(ITEM_ID, maintain_order=True).agg("description", TIMESTAMP, PRICE).iter_rows():
        published = columns[1][0]
        versions.extend(
            (item, title, price, published, updated) for title, price, updated in leading_descriptions(*columns)
        )
    schema = {
        ITEM_ID: pl.String(),
        TITLE: pl.String(),
        PRICE: pl.Float64(),
        PUBLISHED_AT: UTC_MICROSECONDS,
        UPDATED_AT: UTC_MICROSECONDS,
    }
    return pl.DataFrame(versions, schema=schema, orient="row")


def leading_descriptions(
    descriptions: list[str], times: list[datetime], prices: list[float]
) -> Iterator[tuple[str, float, datetime]]:
    """(description, price, time) of every change of the most frequent description of one item, lines in time order."""
    counts: defaultdict[str, int] = defaultdict(int)
    order = {text: at for at, text in enumerate(dict.fromkeys(descriptions))}
    leader = descriptions[0]
    leader_price = prices[0]
    told: str | None = None
    for at, (text, time) in enumerate(zip(descriptions, times, strict=True)):
        counts[text] += 1
        if text != leader and (counts[text], -order[text]) > (counts[leader], -order[leader]):
            leader, leader_price = text, prices[at]
        # Lines of one moment are seen together: only the state after the last of them can be known to anybody.
        if at + 1 < len(times) and times[at + 1] == time:
            continue
        if told is None and leader != descriptions[0]:
            yield descriptions[0], prices[0], time - timedelta(microseconds=1)
        if leader != told:
            yield leader, leader_price, time
            told = leader
