"""Read the logs into the tables of the project, row by row: good rows go on, bad rows are put aside with a reason.

Reads   the files of [source], and with [source] log those that recsys export wrote; forgotten.json
Writes  tables/{items,interactions,impressions,users}.parquet and tables/import.json, all of them or none
        quarantine/TABLE.jsonl, one {"file", "line", "reason", "row"} a refused row

Rows of users from before they were forgotten (recsys.forgetting) are left out of both.

    recsys import --config recsys.toml
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
import polars as pl
from rich.console import Console

from recsys.cli import CONFIG_OPTION
from recsys.errors import DataError
from recsys.finishing import derived_items, finished
from recsys.forgetting.refused import WITHHELD, withheld
from recsys.forgetting.register import Register
from recsys.forgetting.tables import without_forgotten
from recsys.forgetting.who import Who
from recsys.importsummary import Counts, ImportSummary, TooManyBadRows
from recsys.progress import progress
from recsys.schema import ITEM_ID, TABLES
from recsys.sources import Chunk, Source
from recsys.sources.exported import WithExported
from recsys.sources.opening import OWN_NAMES, open_source
from recsys.user_caps import CAPPED, within_cap
from recsys.user_caps import reason as beyond_cap
from recsys.validation import Validator
from recsys.workspace import Workspace

KIBIBYTE = 1024
OF_FORGOTTEN = "of a forgotten user"
"""The reason for which such rows count as cleaned away."""


@click.command("import")
@CONFIG_OPTION
def import_command(config_path: Path) -> None:
    """Read the logs into tables; refused rows go to quarantine/ with a reason."""
    console = Console()
    try:
        console.print(import_tables(Workspace.open(config_path)))
    except TooManyBadRows as error:
        console.print(error.summary)
        raise


def import_tables(workspace: Workspace, now: datetime | None = None) -> ImportSummary:
    """Read, check and write every table of [source]; `now`: what the clock says.

    Raises DataError when a file cannot be read at all or nothing good is in it, TooManyBadRows when more than
    source.max_bad_share of a table was refused; then the tables of the last import stay as they are.
    """
    source = _source(workspace)
    latest = (now or datetime.now(UTC)) + timedelta(minutes=workspace.config.source.max_ahead_minutes)
    register = Register(workspace.root)
    who, columns, types = register.all(), _columns(workspace), tuple(workspace.config.interaction_types)
    tables: dict[str, pl.DataFrame] = {}
    summary = ImportSummary({})
    for table in sorted(source.tables(), key=TABLES.index):
        items = tables.get("items")
        known_items = None if items is None else items.get_column(ITEM_ID).unique()
        validator = Validator(table, columns.get(table, {}), types, known_items, latest)
        tables[table], summary.tables[table] = _read_table(workspace, source, validator, who)
    _check(workspace, summary)
    if "interactions" not in tables:
        tables["interactions"] = finished("interactions", [], typed=True)
    # Who is forgotten from here on waits until the tables are in their places, and is then removed from them.
    with register.held() as forgotten:
        _leave_out(tables, summary, forgotten)
        if "items" not in tables:
            tables["items"] = derived_items(tables["interactions"])
        _write(workspace, tables, summary)
    return summary


def _leave_out(tables: dict[str, pl.DataFrame], summary: ImportSummary, forgotten: Who | None) -> None:
    """Take the rows of forgotten users out of the tables and the counts."""
    for table, kept in without_forgotten(tables, forgotten) if forgotten else ():
        counts, gone = summary.tables[table], len(tables[table]) - len(kept)
        counts.kept -= gone
        counts.cleaned[OF_FORGOTTEN] += gone
        tables[table] = kept


def _source(workspace: Workspace) -> Source:
    config = workspace.config
    source = open_source(workspace.root, config.source)
    if not config.source.log:
        return source
    return WithExported.of(workspace.root, workspace.exported, source, _columns(workspace))


def _columns(workspace: Workspace) -> Mapping[str, Mapping[str, str]]:
    """Table → our column name = its name in the source."""
    config = workspace.config
    # The columns of a known log are known; only files, and the fields of events, have names of their own.
    return dict(config.columns.items()) if config.source.format in OWN_NAMES else {}


def _read_table(
    workspace: Workspace, source: Source, validator: Validator, who: Who | None
) -> tuple[pl.DataFrame, Counts]:
    """The good rows of one table; the refused ones are written to its quarantine file.

    who  those whose refused rows are not
    """
    table = validator.table
    counts, parts, typed = Counts(), [], False
    with (
        progress(f"import {table}", source.size(table) // KIBIBYTE) as advance,
        _replaced(workspace.quarantine_path(table)) as quarantine,
        quarantine.open("wb") as refused,
    ):
        for chunk in source.chunks(table):
            good, reason = validator(chunk)
            counts.read += chunk.rows.height + len(chunk.broken) + sum(chunk.cleaned.values())
            counts.cleaned.update(chunk.cleaned)
            # What comes after the colon is about the one line.
            counts.refused.update(line.reason.partition(":")[0] for line in chunk.broken)
            counts.refused.update(reason.drop_nulls())
            counts.kept += good.height
            _put_aside(chunk, reason, refused, who)
            parts.append(good)
            typed = typed or chunk.typed
            advance(chunk.size // KIBIBYTE)
        validator.finish(str(_place(workspace, table)))
    if not counts.refused:
        workspace.quarantine_path(table).unlink()
    rows = finished(table, parts, typed=typed)
    if table in CAPPED:
        most = workspace.config.source.max_events_per_user_per_day
        counted = within_cap(rows, most)
        if counted.height < rows.height:
            counts.cleaned[beyond_cap(most)] += rows.height - counted.height
            counts.kept, rows = counted.height, counted
    return rows, counts


def _put_aside(chunk: Chunk, reason: pl.Series, refused: BinaryIO, who: Who | None) -> None:
    """Write the refused rows of a chunk in the order of its lines; those of forgotten users without what is in them."""
    bad = reason.is_not_null()
    rows = chunk.rows.filter(bad).to_dicts() if bad.any() else []
    entries: list[tuple[int, str, object]] = list(
        zip(chunk.lines.filter(bad).to_list(), reason.filter(bad).to_list(), rows, strict=True)
    )
    entries += [(line.line, line.reason, line.text) for line in chunk.broken]
    for line, why, row in sorted(entries, key=lambda entry: entry[0]):
        if who is not None and withheld(row, who):
            row, why = WITHHELD, why.partition(":")[0]
        refused.write(msgspec.json.encode({"file": chunk.file, "line": line, "reason": why, "row": row}) + b"\n")


def _check(workspace: Workspace, summary: ImportSummary) -> None:
    limit = workspace.config.source.max_bad_share
    for table, counts in summary.tables.items():
        place, quarantine = _place(workspace, table), workspace.quarantine_path(table)
        if counts.read == 0:
            raise DataError(f"{place}: found no rows, expected the {table}; correct {table} under [source]")
        if counts.refused and (counts.bad_share > limit or not counts.kept):
            worst, rows = counts.refused.most_common(1)[0]
            raise TooManyBadRows(
                f"{place}: {counts.bad_share:.1%} of the rows of {table} were refused ({rows:,} for {worst!r}), "
                f"max_bad_share is {limit:.1%}; see {quarantine}, then correct the source, or the limit under [source]",
                summary,
            )


def _write(workspace: Workspace, tables: dict[str, pl.DataFrame], summary: ImportSummary) -> None:
    """Write all tables beside the old ones, then replace them; a table that the source no longer has goes."""
    counts_path = workspace.table_path("items").with_name("import.json")
    with ExitStack() as writing:
        for table, rows in tables.items():
            rows.write_parquet(writing.enter_context(_replaced(workspace.table_path(table))), compression="zstd")
        counts = writing.enter_context(_replaced(counts_path))
        counts.write_bytes(msgspec.json.format(msgspec.json.encode(summary.tables), indent=2) + b"\n")
    for table in set(TABLES) - set(tables):
        workspace.table_path(table).unlink(missing_ok=True)
        workspace.quarantine_path(table).unlink(missing_ok=True)


def _place(workspace: Workspace, table: str) -> Path:
    """Where the rows of a table came from."""
    config = workspace.config.source
    path = getattr(config, table) or config.interactions
    assert path is not None, "load_config refuses a source without any table"
    return workspace.source_path(path)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A new file to write that takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        yield new
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
