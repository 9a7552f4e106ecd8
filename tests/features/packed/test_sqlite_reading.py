import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from features.packed.sqlite_reading import has_no_room, open_to_read


def with_row(path: Path, *, closed: bool = True) -> sqlite3.Connection:
    """A file in WAL mode that has a row; closed: all of it is in the file itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES (1)")
    if closed:
        connection.close()
    return connection


def rows_of(path: Path) -> tuple[list[tuple[int]], bool]:
    opened = open_to_read(path)
    assert opened is not None
    with closing(opened.connection) as connection:
        return connection.execute("SELECT x FROM t").fetchall(), opened.is_still


def test_a_file_is_read_while_others_write_it(tmp_path):
    with closing(with_row(tmp_path / "a b?.db", closed=False)):
        assert rows_of(tmp_path / "a b?.db") == ([(1,)], False)


def test_on_a_full_disk_a_file_is_read_as_it_stands(small_disk: Path, fill: Callable[[], Path]):
    with_row(small_disk / "a.db")
    filler = fill()
    assert rows_of(small_disk / "a.db") == ([(1,)], True)
    filler.unlink()
    assert rows_of(small_disk / "a.db") == ([(1,)], False)


def test_what_is_in_the_file_of_the_latest_writes_alone_is_not_passed_over(small_disk: Path, fill: Callable[[], Path]):
    path, left = small_disk / "a.db", {}
    with closing(with_row(path, closed=False)):
        left = {name: (small_disk / name).read_bytes() for name in ("a.db", "a.db-wal")}
    for name, content in left.items():
        (small_disk / name).write_bytes(content)
    filler = fill()
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error") as failed:
        open_to_read(path)
    assert has_no_room(failed.value)
    filler.unlink()
    assert rows_of(path)[0] == [(1,)]


def test_a_file_without_tables_is_none_and_one_that_is_no_database_an_error(tmp_path):
    (tmp_path / "empty.db").touch()
    assert open_to_read(tmp_path / "empty.db") is None
    (tmp_path / "notes.txt").write_text("not a database, but a text of some length" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database") as failed:
        open_to_read(tmp_path / "notes.txt")
    assert not has_no_room(failed.value)
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_to_read(tmp_path / "nowhere.db")
