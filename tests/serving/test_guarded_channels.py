import logging
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from recsys.bundle import Manifest
from recsys.errors import ChannelError
from recsys.retrieval import Channels, retrieve
from recsys.retrieval.popular import popular
from serving.course import Course
from serving.guarded_channels import GuardedChannels, tell_other_channels
from tests.recsys.retrieval.states import items, query, user

REQUEST = query(user(), items([3.0, 5.0]))
WHO = "very-secret"


def broken(request):
    raise KeyError(WHO)


def short(request):
    raise ChannelError("entry point short: found scores of the shape (1,)")


def test_a_channel_that_fails_is_left_out_of_the_request_and_named_once_for_it():
    guard = GuardedChannels(Channels({"broken": broken, "popular": popular}, budgets={"popular": 1}))
    found = retrieve(REQUEST, limit=2, channels=guard.channels)
    assert found.positions.tolist() == [1]
    assert found.channels == ("broken", "popular")
    assert guard.course.degraded == ["channel broken: error"]


def test_a_channel_of_the_project_that_is_too_slow_is_cut_off_twice_then_not_begun_and_the_others_are(monkeypatch):
    asked = []

    def slow(request):
        asked.append(request)
        time.sleep(0.2)
        return request.nothing()

    guard = GuardedChannels(Channels({"slow": slow, "popular": popular}))
    monkeypatch.setattr("serving.stage.RETRY_S", 60.0)
    for _ in range(5):
        guard.course = Course(deadline_ms=80)
        assert retrieve(REQUEST, limit=2, channels=guard.channels).positions.tolist() == [1, 0]
        assert guard.course.degraded == ["channel slow: deadline"]
    assert len(asked) == 2


def test_a_failure_is_logged_once_with_its_place_and_without_what_it_says_of_users(caplog):
    guard = GuardedChannels(Channels({"broken": broken}))
    for _ in range(3):
        retrieve(REQUEST, limit=2, channels=guard.channels)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "channel broken is left out of a request: KeyError" in record.getMessage()
    assert "test_guarded_channels.py" in record.getMessage()
    assert WHO not in record.getMessage()


def test_of_scores_of_another_shape_the_log_says_what_was_found(caplog):
    retrieve(REQUEST, limit=2, channels=GuardedChannels(Channels({"short": short})).channels)
    assert "entry point short: found scores of the shape (1,)" in caplog.text


def test_a_channel_that_does_not_fail_gives_what_it_gave():
    guard = GuardedChannels(Channels({"popular": popular}))
    assert np.array_equal(dict(guard.channels)["popular"](REQUEST), popular(REQUEST))
    assert guard.course.degraded == []


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        (["popular", "season"], "made: of the channels that it was trained with this server lacks season;"),
        (["popular"], None),
        ([], None),
        (["season"], "this server lacks season and has besides popular;"),
    ],
)
def test_a_server_says_which_channels_differ_from_those_of_training(trained, said, caplog):
    manifest = Manifest(
        bundle_id="made",
        created_at=datetime.now(UTC),
        dataset="made",
        trained_from=None,
        trained_until=None,
        versions={},
        features=[],
        channels=trained,
    )
    tell_other_channels(manifest, Channels({"popular": popular}))
    assert (said in caplog.text) if said else not caplog.records
