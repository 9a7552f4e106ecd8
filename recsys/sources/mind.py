"""MIND, the log of Microsoft News, as it is published: behaviors.tsv and news.tsv in a folder for each split.

Reads   FOLDER/**/behaviors.tsv and FOLDER/**/news.tsv, so MINDsmall_train alone or MINDsmall_train and MINDsmall_dev
Yields  items (the news), impressions (each line of behaviors.tsv), interactions (click, history)

A candidate that ends in -1 was clicked. The history of a user has no times; see History. The entities of the news are
not read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from recsys.errors import DataError
from recsys.parsing import missing_to_null
from recsys.schema import CATEGORY, EVENT_ID, EVENT_TYPE, ITEM_ID, ITEMS, REQUEST_ID, TIMESTAMP, TITLE, USER_ID
from recsys.sources import BrokenLine, Chunk
from recsys.sources.separated import read_separated

CLICK, HISTORY = "click", "history"
BEHAVIORS, NEWS = "behaviors.tsv", "news.tsv"
BEHAVIOR_COLUMNS = (REQUEST_ID, USER_ID, TIMESTAMP, "history", "candidates")
NEWS_COLUMNS = (ITEM_ID, CATEGORY, "subcategory", TITLE, "description", "url", "title_entities", "abstract_entities")
TIME_FORMAT = "%m/%d/%Y %I:%M:%S %p"
# The labels of the published test split are secret: without them a shown item would pass for one that was not clicked.
UNLABELLED = "candidates do not all end in -0 or -1"


@dataclass(frozen=True)
class Mind:
    """The splits of MIND in one folder.

    History: what a user clicked in the weeks before the log, in the order of time. Each line of a user repeats it, so
    it is taken once, from the user's earliest impression, and as the interactions of that user in the last seconds
    before it: later than they happened, never earlier, so that nothing is known too soon. They have a type of their
    own, for they say what a user likes and not what this log could predict.
    """

    path: Path

    def tables(self) -> tuple[str, ...]:
        return ("items", "interactions", "impressions")

    def size(self, table: str) -> int:
        return sum(file.stat().st_size for file in self._files(NEWS if table == "items" else BEHAVIORS))

    def chunks(self, table: str) -> Iterator[Chunk]:
        if table == "items":
            yield from self._news()
        for file in self._files(BEHAVIORS) if table != "items" else ():
            for chunk in _behaviors(file):
                if table == "impressions":
                    yield replace(chunk, rows=chunk.rows.select(REQUEST_ID, USER_ID, TIMESTAMP, ITEMS))
                    continue
                lines = chunk.rows.with_columns(chunk.lines.alias("line"))
                first = self._first_impressions.filter(pl.col("file") == chunk.file)
                past = _history(lines.join(first, on=[USER_ID, "line"], how="semi"))
                rows = pl.concat([past, _clicks(lines)]).sort("line", maintain_order=True)
                yield replace(chunk, rows=rows.drop("line"), lines=rows.get_column("line"))

    def _files(self, name: str) -> list[Path]:
        files = sorted(self.path.rglob(name))
        if not files:
            raise DataError(
                f"{self.path}: found no {name}; expected a folder of MIND such as MINDsmall_train, with {BEHAVIORS} "
                f"and {NEWS} in it, under interactions of [source]"
            )
        return files

    def _news(self) -> Iterator[Chunk]:
        """Each of the news once: the splits tell the most of them again."""
        before = pl.Series(ITEM_ID, [], pl.String)
        for file in self._files(NEWS):
            here = [before]
            for chunk in read_separated(file, NEWS_COLUMNS, "\t"):
                again = chunk.rows.get_column(ITEM_ID).is_in(before.implode())
                rows = chunk.rows.filter(~again).drop("title_entities", "abstract_entities")
                cleaned = {"news told before": int(again.sum())} if again.any() else {}
                yield replace(chunk, rows=rows, lines=chunk.lines.filter(~again), cleaned=cleaned)
                here.append(rows.get_column(ITEM_ID))
            # A second line of an id in the same file is refused like any other duplicate.
            before = pl.concat(here)

    @cached_property
    def _first_impressions(self) -> pl.DataFrame:
        """The earliest impression of every user: user_id, file, line."""
        first = pl.DataFrame()
        for file in self._files(BEHAVIORS):
            for chunk in _behaviors(file):
                found = chunk.rows.select(
                    USER_ID,
                    pl.col(TIMESTAMP).str.to_datetime(strict=False).alias("at"),
                    pl.lit(chunk.file).alias("file"),
                    chunk.lines.alias("line"),
                ).drop_nulls()
                both = pl.concat([first, found]) if first.width else found
                first = both.sort("at", maintain_order=True).unique(USER_ID, keep="first", maintain_order=True)
        return first


def _behaviors(file: Path) -> Iterator[Chunk]:
    """request_id, user_id, timestamp (ISO 8601, or what stands there), history, items, clicked of each line.

    Impressions are numbered from 1 in every split: the name of its folder makes their ids unique.
    """
    for chunk in read_separated(file, BEHAVIOR_COLUMNS, "\t"):
        rows = pl.DataFrame([missing_to_null(column) for column in chunk.rows.get_columns()])
        words = rows.select(candidates=pl.col("candidates").fill_null("").str.extract_all(r"\S+")).to_series()
        labelled = words.list.eval(pl.element().str.contains(r".-[01]$")).list.all()
        texts = chunk.rows.filter(~labelled).select(pl.concat_str(pl.all(), separator="\t")).to_series()
        broken = [
            BrokenLine(line, UNLABELLED, text) for line, text in zip(chunk.lines.filter(~labelled), texts, strict=True)
        ]
        time = pl.col(TIMESTAMP).str.to_datetime(TIME_FORMAT, strict=False).dt.strftime("%Y-%m-%dT%H:%M:%S")
        read = rows.with_columns(words).filter(labelled)
        read = read.select(
            pl.format("{}-{}", pl.lit(file.resolve().parent.name), REQUEST_ID).alias(REQUEST_ID),
            USER_ID,
            pl.coalesce(time, TIMESTAMP).alias(TIMESTAMP),
            pl.col("history").fill_null("").str.extract_all(r"\S+"),
            pl.col("candidates").list.eval(pl.element().str.head(-2)).alias(ITEMS),
            pl.col("candidates")
            .list.eval(pl.element().filter(pl.element().str.ends_with("-1")).str.head(-2))
            .alias("clicked"),
        )
        every = sorted((*chunk.broken, *broken), key=lambda line: line.line)
        yield replace(chunk, rows=read, lines=chunk.lines.filter(labelled), broken=tuple(every))


def _clicks(lines: pl.DataFrame) -> pl.DataFrame:
    """One interaction a clicked candidate, at the time of its impression."""
    return (
        lines.rename({"clicked": ITEM_ID})
        .filter(pl.col(ITEM_ID).list.len() > 0)
        .explode(ITEM_ID)
        .select(
            "line",
            pl.format("{}-{}", REQUEST_ID, ITEM_ID).alias(EVENT_ID),
            USER_ID,
            ITEM_ID,
            pl.lit(CLICK).alias(EVENT_TYPE),
            TIMESTAMP,
            REQUEST_ID,
        )
    )


def _history(lines: pl.DataFrame) -> pl.DataFrame:
    """The history of the users whose earliest impressions these are: the last of it a second before."""
    nothing = pl.lit(None, pl.String)
    return (
        lines.filter(pl.col("history").list.len() > 0)
        .with_columns(ago=pl.int_ranges(pl.col("history").list.len(), 0, step=-1))
        .explode("history", "ago")
        .select(
            "line",
            nothing.alias(EVENT_ID),
            USER_ID,
            pl.col("history").alias(ITEM_ID),
            pl.lit(HISTORY).alias(EVENT_TYPE),
            (pl.col(TIMESTAMP).str.to_datetime(strict=False) - pl.duration(seconds="ago"))
            .dt.strftime("%Y-%m-%dT%H:%M:%S")
            .alias(TIMESTAMP),
            nothing.alias(REQUEST_ID),
        )
    )
