"""Checks of the event log and of the keys."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from serving.doctor import project
from serving.doctor.finding import findings
from serving.events import EventLog
from serving.keys_file import KeysFile
from tests.serving.keyed import add_key, id_of

NOW = datetime.now(UTC)


def test_a_log_that_is_not_there_can_be_made_and_is_not(tmp_path):
    assert project.log_writable(tmp_path / "events.db").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_serves_can_be_written_and_one_that_is_held_or_damaged_cannot(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "WAIT_FOR_LOG_S", 0.05)
    path = tmp_path / "events.db"
    with EventLog.open(path):
        assert project.log_writable(path).state == "ok"
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "locked" in project.log_writable(path).found
            other.rollback()
    for file in tmp_path.iterdir():
        file.unlink()
    path.write_bytes(b"no database at all" * 100)
    assert project.log_writable(path).state == "problem"


def test_a_log_of_a_newer_version_and_one_that_lacks_a_table_are_problems(tmp_path):
    path = tmp_path / "events.db"
    EventLog.open(path).close()
    with closing(sqlite3.connect(path)) as log:
        log.execute("DROP TABLE features")
        assert "lacks the tables features" in project.log_writable(path).found
        log.execute("PRAGMA user_version = 99")
    assert "the format is 99" in project.log_writable(path).found


@pytest.mark.parametrize(("host", "state"), [("127.0.0.1", "ok"), ("0.0.0.0", "problem")])
def test_without_keys_only_this_machine_may_ask(tmp_path, host, state):
    assert project.keys_usable(tmp_path / "keys.json", host, NOW).state == state


def test_keys_that_all_ended_that_end_soon_and_that_others_can_read(tmp_path):
    path = tmp_path / "keys.json"
    soon = id_of(add_key(KeysFile(path), days=10))
    found = project.keys_usable(path, "0.0.0.0", NOW)
    assert (found.state, found.found) == ("warning", f"{soon} will expire in less than 14 days")
    assert "all 1 are expired" in project.keys_usable(path, "0.0.0.0", NOW + timedelta(days=11)).found
    add_key(KeysFile(path))
    path.chmod(0o644)
    assert project.keys_usable(path, "0.0.0.0", NOW).mend == f"chmod 600 {path}"
    path.chmod(0o666)
    (found,) = findings("keys", lambda: project.keys_usable(path, "0.0.0.0", NOW))
    assert (found.state, "others may write keys" in found.found) == ("problem", True)


def test_a_check_that_fails_has_found_a_problem():
    def look() -> None:
        raise ValueError("what")

    (found,) = findings("some", look)  # type: ignore[arg-type]
    assert (found.state, found.found.startswith("the check failed with ValueError: what (")) == ("problem", True)
