"""Start a project: look at the user's files and write a recsys.toml that suits them, every key explained.

Reads   the files of items, interactions, impressions and users
Writes  DIR/recsys.toml

    recsys init DIR --items items.csv --interactions events.csv
    recsys init DIR --format mind --interactions MINDsmall_train
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import click

from recsys.config import Format, load_config
from recsys.detection import detect_columns, scan_interactions
from recsys.errors import DataError
from recsys.knownlogs import KNOWN_LOGS, look_into
from recsys.newconfig import render
from recsys.schema import TABLES


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--items", type=click.Path(path_type=Path), help="A file or folder: Parquet, JSON lines or CSV.")
@click.option("--interactions", type=click.Path(path_type=Path), required=True, help="Who did what with which item.")
@click.option("--impressions", type=click.Path(path_type=Path), help="What was shown to whom.")
@click.option("--users", type=click.Path(path_type=Path), help="Attributes of the users.")
@click.option(
    "--format",
    "log_format",
    type=click.Choice(get_args(Format)),
    default="files",
    show_default=True,
    help="files: in columns of your own; the others as they are published, see docs/sources.md.",
)
@click.option("--column", "columns", multiple=True, metavar="TABLE.OURS=THEIRS", help="A column that is not guessed.")
@click.option("--force", is_flag=True, help="Overwrite a recsys.toml.")
def init(
    directory: Path,
    items: Path | None,
    interactions: Path,
    impressions: Path | None,
    users: Path | None,
    log_format: Format,
    columns: tuple[str, ...],
    force: bool,
) -> None:
    """Look at your files and write DIRECTORY/recsys.toml."""
    named = {"items": items, "interactions": interactions, "impressions": impressions, "users": users}
    paths = {table: path for table, path in named.items() if path is not None}
    written = write_project(directory, paths, log_format=log_format, columns=_given(columns), force=force)
    click.echo(f"wrote {written}; read it through, then run `recsys import --config {written}`")


def write_project(
    directory: Path,
    paths: Mapping[str, Path],
    *,
    log_format: Format = "files",
    columns: Mapping[str, Mapping[str, str]] | None = None,
    force: bool = False,
) -> Path:
    """Write the recsys.toml of a new project and return its path.

    paths       table → file or folder; interactions must be among them
    log_format  `format` of [source]
    columns     table → our column name → the name in the file, where no guess is wanted

    Raises DataError when there is a recsys.toml already, or the files cannot be read or understood.
    """
    target = directory / "recsys.toml"
    if target.exists() and not force:
        raise DataError(f"{target}: there is a project already; pass --force to overwrite its recsys.toml")
    given = columns or {}
    # Before anything is written: the files may be of another format than their user thinks.
    known = None
    if log_format == "files":
        tables = {table: detect_columns(table, path, given.get(table, {})) for table, path in paths.items()}
        span = scan_interactions(paths["interactions"], tables["interactions"].columns)
    else:
        known = KNOWN_LOGS[log_format]
        tables, span = look_into(known, paths, given)
    directory.mkdir(parents=True, exist_ok=True)
    relative = {table: Path(os.path.relpath(path.resolve(), directory.resolve())) for table, path in paths.items()}
    target.write_text(render(directory.resolve().name, relative, tables, span, known), encoding="utf-8")
    load_config(target)
    return target


def _given(columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """--column TABLE.OURS=THEIRS, as table → ours → theirs."""
    given: dict[str, dict[str, str]] = {}
    for text in columns:
        match = re.fullmatch(rf"({'|'.join(TABLES)})\.(\w+)=(.+)", text)
        if match is None:
            raise DataError(f"--column {text}: expected TABLE.OURS=THEIRS, for example interactions.user_id=shopper")
        given.setdefault(match[1], {})[match[2]] = match[3]
    return given
