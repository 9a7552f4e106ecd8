"""What is noted of a request."""

import time

import pytest

from serving import watching
from serving.watching import CURRENT, Watched


def test_outside_of_a_request_nothing_is_noted_and_each_id_is_new():
    watching.took("ranker", 0.0, 1.0)
    with watching.stage("ranker"):
        pass
    assert watching.request_id() != watching.request_id()


def fail_slowly() -> None:
    with watching.stage("text"):
        time.sleep(0.01)
        raise ValueError("slow")


def test_stages_and_the_id_are_those_of_the_request_on_its_way():
    watched = Watched()
    token = CURRENT.set(watched)
    try:
        watching.took("ranker", watched.began, 0.25)
        with pytest.raises(ValueError, match="slow"):
            fail_slowly()
        assert {watching.request_id(), watching.request_id()} == {watched.request_id}
    finally:
        CURRENT.reset(token)
    assert watched.stages[0] == ("ranker", watched.began, 0.25)
    assert watched.stages[1].stage == "text"
    assert 0.01 <= watched.stages[1].seconds < 1.0
