"""What an engine follows from request to request, beside what its parts are tested for."""

import sqlite3
from pathlib import Path

import pytest

from recsys.attributes import Attributes
from serving.bundle_engine import BundleEngine
from serving.course import Course
from serving.events import EventLog
from serving.live_users import LiveUsers
from serving.user_types import UserVersion
from tests.serving.made_bundle import made_engine


@pytest.fixture
def engine(tmp_path: Path, made_scorer: Path) -> BundleEngine:
    """As of a bundle that reads the age of users."""
    engine = made_engine(tmp_path, made_scorer)
    engine.live.users = LiveUsers(tmp_path / "events.db", Attributes({"age": "numeric"}, {}))
    return engine


def test_the_next_request_goes_by_the_attributes_that_were_sent(engine, tmp_path):
    with EventLog.open(tmp_path / "events.db") as log:
        assert engine.live.user("fan", Course()).attributes is None
        log.submit_users([UserVersion("fan", {"age": 31})]).result()
        assert engine.live.user("fan", Course()).attributes.tolist() == [31]
        log.submit_users([UserVersion("fan", {"age": 32})]).result()
        assert engine.live.user("fan", Course()).attributes.tolist() == [32]


def test_attributes_that_cannot_be_read_cost_an_answer_those_alone(engine, monkeypatch):
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(engine.live.users, "with_attributes", fail)
    course = Course()
    assert len(engine.live.user("fan", course).history) == 1
    assert course.degraded == ["user_attributes: error"]


def test_nobody_in_particular_has_done_nothing(engine):
    assert len(engine.live.user(None, Course()).history) == 0
