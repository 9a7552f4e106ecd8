"""Nothing of a forgotten user stays in the event log, and all of the others."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import DataError
from recsys.forgetting.key import UserKey
from recsys.forgetting.who import Who
from serving.events import EventLog
from serving.forgetting import log as forgetting_log
from serving.forgetting.log import forget_in_log
from serving.types import Impression, ServedFeatures, ShadowList
from serving.user_types import UserVersion
from tests.serving.logged import rows
from tests.serving.test_events import click
from tests.stored import files_with

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
KEY = UserKey(bytes(32))
GONE, KEPT = "gone-51bd20c4aa", "kept-7f3a9c51e0"


def who(*users: str, at: datetime = LATER, by_hash: bool = False) -> Who:
    return Who(KEY, {KEY.hash(user): at for user in users}, None if by_hash else dict.fromkeys(users, at))


def use(log: EventLog, user: str, nth: int = 0, at: datetime = NOW) -> None:
    """A row of each table."""
    shown = Impression(
        request_id=f"{user}-r{nth}", user_id=user, timestamp=at, items=["a"], surface="home", bundle="first"
    )
    log.show(shown, ServedFeatures(at, at, 1, 1, 1, ["a"], np.ones((1, 2), np.float32)))
    log.show_shadow(
        ShadowList(
            request_id=f"{user}-r{nth}",
            experiment="test",
            variant="other",
            bundle="second",
            items=["b"],
            took_ms=1.0,
            timestamp=at,
        )
    )
    log.append([click(f"{user}-e{nth}", user_id=user, query=f"q {user}")])
    log.submit_users([UserVersion(user, {"name": f"name of {user}"})]).result()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def log(path: Path) -> Iterator[EventLog]:
    with EventLog.open(path) as log:
        for user in (GONE, KEPT):
            use(log, user)
        yield log


def counts(path: Path) -> dict[str, int]:
    tables = ("interactions", "impressions", "users", "features", "shadows")
    return {table: rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


@pytest.mark.parametrize("by_hash", [False, True])
def test_every_row_of_the_user_goes_and_is_counted_while_the_log_is_open_and_others_stay(log, path, by_hash):
    found = forget_in_log(path, who(GONE, by_hash=by_hash), thoroughly=False)
    assert found == counts(path) == {"interactions": 1, "impressions": 1, "users": 1, "features": 1, "shadows": 1}
    assert rows(path, "SELECT user_id FROM interactions UNION SELECT user_id FROM impressions") == [(KEPT,)]
    assert forget_in_log(path, who(GONE), thoroughly=False) == dict.fromkeys(counts(path), 0)


def test_no_number_is_given_again_so_that_who_follows_the_log_misses_nothing(log, path):
    forget_in_log(path, who(KEPT), thoroughly=True)
    log.append([click("next")])
    assert rows(path, "SELECT sequence FROM interactions ORDER BY sequence") == [(1,), (3,)]


def test_what_came_after_the_moment_is_of_a_user_who_came_back(log, path):
    use(log, GONE, 1, at=LATER)
    between = datetime.now(UTC)
    log.append([click("back", user_id=GONE)])
    forget_in_log(path, who(GONE, at=between), thoroughly=True)
    assert rows(path, f"SELECT event_id FROM interactions WHERE user_id = '{GONE}'") == [("back",)]
    # An impression is as old as it says, and has its features and shadows.
    assert rows(path, f"SELECT request_id FROM impressions WHERE user_id = '{GONE}'") == [(f"{GONE}-r1",)]
    assert counts(path)["features"] == counts(path)["shadows"] == 2


def test_no_byte_of_it_is_left_in_the_files_of_a_log_from_which_rows_were_deleted_before(log, path):
    for nth in range(1, 400):
        log.append([click(f"{nth % 7}-{GONE}-{nth}", user_id=GONE), click(f"{nth % 5}-{KEPT}-{nth}", user_id=KEPT)])
    with closing(sqlite3.connect(path)) as other, other:
        # As retention deletes with most builds of SQLite: what was there stays until something else takes its place.
        other.execute("PRAGMA secure_delete = OFF")
        other.execute("DELETE FROM interactions WHERE sequence < 600")
    forget_in_log(path, who(GONE), thoroughly=False)
    assert counts(path)["interactions"] == 101
    assert files_with(path.parent, GONE) == {"events.db"}
    forget_in_log(path, who(GONE), thoroughly=True)
    assert files_with(path.parent, GONE) == set()
    assert counts(path)["interactions"] == 101


def test_without_rewriting_the_file_the_deleted_rows_are_overwritten(log, path):
    forget_in_log(path, who(GONE), thoroughly=False)
    assert files_with(path.parent, GONE) == set()
    assert files_with(path.parent, KEPT) != set()


def test_a_reader_that_does_not_let_go_is_told_of(log, path, monkeypatch):
    monkeypatch.setattr(forgetting_log, "OVERWRITE_TIMEOUT_S", 0.2)
    monkeypatch.setattr("serving.event_tables.BUSY_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM interactions").fetchone()
        with pytest.raises(DataError, match="others read the event log all the time"):
            forget_in_log(path, who(GONE), thoroughly=False)
    assert forget_in_log(path, who(GONE), thoroughly=True)["interactions"] == 0
    assert files_with(path.parent, GONE) == set()


def test_a_project_without_a_log_has_nothing_to_forget_in_it(tmp_path):
    assert forget_in_log(tmp_path / "events.db", who(GONE), thoroughly=True) == {}
    assert not (tmp_path / "events.db").exists()
