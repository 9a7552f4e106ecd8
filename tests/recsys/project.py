"""A project in a folder of its own, made of the rows that a test is about."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from recsys.workspace import Workspace

CONFIG = """
name = "test"
[source]
{source}
max_bad_share = {max_bad_share}
[interaction_types]
{types}
{more}
"""
TYPES = "view = { weight = 0.2 }\npurchase = { label = true }"
NOON = "2024-05-01T12:00:00Z"
ITEMS = "item_id,title\na,Apple\nb,Bread\n"


def project(
    root: Path, *, types: str = TYPES, max_bad_share: float = 1.0, more: str = "", **files: str | bytes
) -> Workspace:
    """A project whose tables are the given texts of CSV files."""
    for table, text in files.items():
        (root / f"{table}.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return project_of(
        root, {table: f"{table}.csv" for table in files}, types=types, max_bad_share=max_bad_share, more=more
    )


def project_of(
    root: Path, paths: dict[str, str], *, types: str = TYPES, max_bad_share: float = 1.0, more: str = ""
) -> Workspace:
    """A project whose files are there already."""
    source = "\n".join(f"{table} = '{path}'" for table, path in paths.items())
    text = CONFIG.format(source=source, types=types, max_bad_share=max_bad_share, more=more)
    (root / "recsys.toml").write_text(text)
    return Workspace.open(root / "recsys.toml")


def interactions(*rows: str, header: str = "user_id,item_id,event_type,timestamp") -> str:
    """The text of a CSV file of interactions."""
    return "\n".join([header, *rows, ""])


def quarantined(workspace: Workspace, table: str) -> list[dict[str, Any]]:
    path = workspace.quarantine_path(table)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refusals(workspace: Workspace, table: str) -> list[tuple[int, str]]:
    """The line and the reason of every refused row."""
    return [(row["line"], row["reason"]) for row in quarantined(workspace, table)]


def column(workspace: Workspace, table: str, name: str) -> list[Any]:
    return workspace.read_table(table).get_column(name).to_list()


def write_as(rows: pl.DataFrame, path: Path) -> None:
    """The rows in the format that the extension names."""
    write = {".csv": rows.write_csv, ".jsonl": rows.write_ndjson, ".parquet": rows.write_parquet}[path.suffix]
    write(path)
