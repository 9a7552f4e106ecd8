import math
import time

import pytest

from serving.course import ANSWERING_S, SPARED, Course
from serving.stage import Stage


def test_without_a_deadline_everything_takes_as_long_as_it_takes():
    course = Course()
    assert course.left() is None
    assert course.attempt(Stage("part"), lambda: time.sleep(0.05) or "done") == "done"


def test_the_time_runs_from_the_start_of_the_request():
    course = Course(deadline_ms=1000, started=time.perf_counter() - 0.4)
    assert course.left() == pytest.approx((1 - SPARED) * (0.6 - ANSWERING_S), abs=0.05)


def test_the_time_of_one_that_stood_in_a_queue_runs_from_its_turn():
    course = Course(deadline_ms=1000, started=time.perf_counter() - 0.4)
    course.begins_later(0.4)
    assert course.left() == pytest.approx((1 - SPARED) * (1 - ANSWERING_S), abs=0.05)
    forever = Course()
    forever.begins_later(0.4)
    assert forever.left() is None


def test_what_follows_a_stage_keeps_what_it_needs_and_a_quarter_more():
    course = Course(deadline_ms=1000)
    assert course.left(keep=0.4) == pytest.approx(1 - ANSWERING_S - 0.5, abs=0.05)
    assert course.left(keep=0.9) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("keep", [1.5, math.inf])
def test_what_follows_keeps_a_share_when_its_needs_are_not_known_or_more_than_there_is(keep):
    course = Course(deadline_ms=1000)
    assert course.left(keep=keep) == pytest.approx((1 - SPARED) * (1 - ANSWERING_S), abs=0.05)


def test_what_is_left_out_is_said_once_with_its_reason():
    course, stage = Course(), Stage("part")
    for _ in range(2):
        assert course.attempt(stage, lambda: 1 / 0) is None
    course.go_without("other", "deadline")
    assert course.degraded == ["part: error", "other: deadline"]
