from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recsys.attributes import Attributes
from recsys.state import UserState
from serving.events import EventLog
from serving.live_users import LiveUsers
from serving.user_types import UserVersion
from tests.recsys.retrieval.states import user

TRAINED = Attributes({"age": "numeric", "country": "categorical"}, {"country": {"FR": 0, "NO": 1}})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with EventLog.open(tmp_path / "events.db") as log:
        yield log


@pytest.fixture
def users(log: EventLog, tmp_path: Path) -> LiveUsers:
    return LiveUsers(tmp_path / "events.db", TRAINED)


def attributes(users: LiveUsers, user_id: str = "u") -> list[float] | None:
    """Of a user of whom the users table says 99 years and France."""
    known: UserState = user()
    object.__setattr__(known, "attributes", np.array([99.0, 0.0]))
    users.follow()
    found = users.with_attributes(user_id, known).attributes
    return None if found is None else found.tolist()


def send(log: EventLog, **columns: object) -> None:
    log.submit_users([UserVersion("u", columns)]).result()


def test_what_was_sent_stands_over_the_users_table_for_that_user_at_once(users, log):
    assert attributes(users) == [99, 0]
    assert not users.sent("u")
    send(log, age=31, country="NO", shoes="brown")
    assert attributes(users) == [31, 1]
    assert users.sent("u")
    assert attributes(users, "v") == [99, 0]
    assert not users.sent("v")


def test_the_latest_version_counts_as_a_whole_and_what_cannot_be_read_is_not_known(users, log):
    send(log, age=31, country="NO")
    send(log, country="Atlantis", age={"years": 5})
    assert np.isnan(attributes(users)).all()
    send(log, age=32)
    assert attributes(users)[0] == 32


def test_of_a_user_whose_attributes_were_deleted_none_are_known(users, log):
    log.submit_users([UserVersion("u", None)]).result()
    assert np.isnan(attributes(users)).all()


def test_what_another_process_sends_is_followed(users, log, tmp_path):
    send(log, age=31)
    assert attributes(users)[0] == 31
    with EventLog.open(tmp_path / "events.db") as other:
        send(other, age=40)
    assert attributes(users)[0] == 40


def test_a_bundle_that_reads_no_attributes_follows_none(log, tmp_path):
    users = LiveUsers(tmp_path / "events.db", None)
    send(log, age=31)
    assert attributes(users) == [99, 0]


def test_before_there_is_a_log_nothing_was_sent(tmp_path):
    assert attributes(LiveUsers(tmp_path / "none.db", TRAINED)) == [99, 0]


def test_users_that_are_no_longer_kept_are_read_again(users, log, monkeypatch):
    monkeypatch.setattr("serving.live_users.KEPT", 1)
    send(log, age=31)
    for user_id in ("u", "v", "u"):
        assert attributes(users, user_id)[0] == (31 if user_id == "u" else 99)
