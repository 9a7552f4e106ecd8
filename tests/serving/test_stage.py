import asyncio
import threading
import time

import pytest

from recsys.errors import FeatureStoreError
from serving.stage import RETRY_S, LeftOut, Stage
from serving.trust import TRUSTED_AFTER, Trust


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float, result: str = "done"):
        """Work that takes so long."""

        def work() -> str:
            self.now += seconds
            return result

        return work


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stage(clock: Clock) -> Stage:
    return Stage("part", clock=clock)


def reason(stage: Stage, work, *, within: float | None = 0.04, size: int = 1) -> str:
    """Why it was left out, or what it returned."""
    try:
        return stage.run(work, within=within, size=size)
    except LeftOut as left_out:
        return left_out.reason


def test_what_is_quick_enough_is_done(stage, clock):
    assert reason(stage, clock.taking(0.01)) == "done"
    assert reason(stage, clock.taking(0.01), within=None) == "done"


def test_what_was_too_slow_twice_is_not_begun_and_tried_again_by_one_request_now_and_then(stage, clock):
    for _ in range(2):
        assert reason(stage, clock.taking(0.2)) == "done"
    # It may be quicker by now: the first one tries.
    assert reason(stage, clock.taking(0.2)) == "done"
    began = []
    for _ in range(5):
        clock.now += RETRY_S / 100
        assert reason(stage, lambda: began.append(1)) == "deadline"
    assert began == []
    clock.now += RETRY_S
    # In time, so that it is as good as ever.
    assert reason(stage, clock.taking(0.01)) == "done"
    for _ in range(5):
        assert reason(stage, clock.taking(0.01)) == "done"


def test_it_depends_on_the_size_whether_there_is_time(stage, clock):
    for _ in range(2):
        stage.run(clock.taking(0.03), size=500, within=0.04)
    assert stage.estimate(500) == pytest.approx(0.03)
    # 100 take no more, and 2,000 some four times as much.
    assert reason(stage, clock.taking(0.0), size=100) == "done"
    clock.now += RETRY_S
    assert reason(stage, clock.taking(0.12), size=2000) == "done"
    assert reason(stage, clock.taking(0.0), size=2000) == "deadline"
    assert reason(stage, clock.taking(0.0), size=500) == "done"


def test_a_request_in_a_hurry_does_not_try_what_is_too_slow_in_place_of_one_with_more_time(stage, clock):
    for _ in range(3):
        reason(stage, clock.taking(0.2))
    clock.now += RETRY_S
    assert reason(stage, clock.taking(0.01), within=0.002) == "deadline"
    assert reason(stage, clock.taking(0.01)) == "done"


def test_without_time_nothing_is_begun(stage, clock):
    began = []
    assert reason(stage, lambda: began.append(1), within=0.0) == "deadline"
    assert began == []


def test_what_hangs_is_cut_off_in_time_and_left_out_until_it_comes_back():
    stage, go = Stage("part"), threading.Event()
    for _ in range(2):
        started = time.perf_counter()
        assert reason(stage, go.wait, within=0.05) == "deadline"
        assert 0.05 <= time.perf_counter() - started < 0.2
    # It is known to take longer.
    began = []
    started = time.perf_counter()
    assert reason(stage, lambda: began.append(1), within=0.05) == "deadline"
    assert time.perf_counter() - started < 0.05
    go.set()
    assert began == []


def test_what_was_cut_off_counts_as_long_as_it_took_in_the_end():
    stage = Stage("part")
    for _ in range(2):
        assert reason(stage, lambda: time.sleep(0.06), within=0.02) == "deadline"
    time.sleep(0.1)
    # It takes too long for this one, and not for that one.
    assert reason(stage, lambda: "done", within=0.02) == "deadline"
    assert 0.06 <= stage.estimate() < 0.1
    assert reason(stage, lambda: "done", within=0.2) == "done"


def test_as_many_as_hang_are_cut_off_and_further_ones_are_not_begun(monkeypatch):
    monkeypatch.setattr("serving.stage.RETRY_S", 0.0)
    stage, go, began = Stage("part", threads=2), threading.Event(), []

    def hang() -> None:
        began.append(1)
        go.wait()

    for _ in range(4):
        assert reason(stage, hang, within=0.02) == "deadline"
    assert len(began) == 2
    go.set()
    time.sleep(0.1)
    assert reason(stage, lambda: "done", within=0.05) == "done"


def test_what_will_surely_be_in_time_runs_in_the_thread_of_the_request_unless_it_may_hang(clock):
    here = threading.get_ident()
    for may_hang in (False, True):
        stage = Stage("part", may_hang=may_hang, clock=clock)
        for _ in range(2):
            stage.run(clock.taking(0.01), within=0.04)
        assert (stage.run(threading.get_ident, within=0.04) == here) is not may_hang
        # It takes more than half of this.
        assert stage.run(threading.get_ident, within=0.015) != here


def test_while_work_has_a_thread_its_request_does_something_else_which_counts_for_the_request_alone():
    stage, go, done = Stage("part", may_hang=True), threading.Event(), []

    def meanwhile() -> None:
        # The work goes on only when this has begun, so they run together.
        go.set()
        time.sleep(0.1)
        done.append(threading.get_ident())

    assert stage.run(lambda: go.wait(5), within=5.0, meanwhile=meanwhile) is True
    assert done == [threading.get_ident()]
    assert stage.estimate() < 0.1


def test_what_is_done_meanwhile_does_not_give_work_more_time():
    stage, started = Stage("part", may_hang=True), time.perf_counter()
    with pytest.raises(LeftOut, match="deadline"):
        stage.run(lambda: time.sleep(0.5), within=0.15, meanwhile=lambda: time.sleep(0.1))
    assert time.perf_counter() - started < 0.24


def test_where_work_has_no_thread_nothing_is_done_meanwhile(stage, clock):
    for _ in range(2):
        stage.run(clock.taking(0.01), within=0.04)
    for within in (0.04, None):
        stage.run(clock.taking(0.01), within=within, meanwhile=lambda: pytest.fail("there is no thread"))


def test_what_was_done_before_its_turn_counts_for_how_long_a_stage_takes(stage, clock):
    for _ in range(2):
        stage.run(clock.taking(0.01), within=0.04, spent=0.02)
    assert stage.estimate() == pytest.approx(0.03)


def trusted(**options) -> Stage:
    """One that runs in the thread of its request, for it was quick."""
    stage = Stage("part", **options)
    for _ in range(2):
        stage.run(lambda: time.sleep(0.001), within=0.1)
    assert stage.run(threading.get_ident, within=0.1) == threading.get_ident()
    return stage


def test_what_turns_slow_in_the_thread_of_a_request_makes_that_one_late_and_no_other(monkeypatch):
    monkeypatch.setattr("serving.stage.RETRY_S", 0.4)
    stage, took, began = trusted(), [], []

    def slow() -> None:
        began.append(1)
        time.sleep(0.3)

    for _ in range(6):
        started = time.perf_counter()
        reason(stage, slow, within=0.1)
        took.append(time.perf_counter() - started)
    assert took[0] >= 0.3
    # The second is cut off, and from then on it is known to be slow.
    assert 0.1 <= took[1] < 0.2
    assert max(took[2:]) < 0.05
    assert len(began) == 2
    time.sleep(0.4)
    assert [reason(stage, lambda: "done", within=0.1) for _ in range(5)] == ["done"] * 5


def test_one_stall_leaves_no_other_request_without_a_stage_and_is_forgotten_when_it_was_in_time_often_enough():
    stage, here = trusted(), threading.get_ident()
    stage.run(lambda: time.sleep(0.15), within=0.1)
    threads = [stage.run(threading.get_ident, within=0.1) for _ in range(TRUSTED_AFTER + 5)]
    assert [thread == here for thread in threads] == [False] * TRUSTED_AFTER + [True] * 5


def test_what_is_late_and_then_fails_is_not_late_again():
    stage, took = trusted(), []

    def slow() -> None:
        time.sleep(0.3)
        raise KeyError("broken")

    for _ in range(2):
        started = time.perf_counter()
        reason(stage, slow, within=0.1)
        took.append(time.perf_counter() - started)
    assert took[0] >= 0.3
    assert took[1] < 0.2


def test_what_makes_one_stage_late_makes_no_other_late_that_has_it_as_a_part():
    trust, here = Trust(), threading.get_ident()
    stage, other = trusted(trust=trust), trusted(trust=trust)
    stage.run(lambda: time.sleep(0.15), within=0.1)
    assert other.run(threading.get_ident, within=0.1) != here


def test_what_fails_is_left_out_and_after_some_errors_in_a_row_no_longer_tried(stage, clock, caplog):
    who = "very-" + "secret"

    def fail() -> None:
        raise KeyError(who)

    for _ in range(3):
        assert reason(stage, fail) == "error"
    assert reason(stage, clock.taking(0.0)) == "error"
    clock.now += RETRY_S
    assert reason(stage, clock.taking(0.0)) == "done"
    left_out, back = caplog.messages
    assert left_out.startswith("part is left out of a request: KeyError\n")
    assert "test_stage.py" in left_out
    assert "very-secret" not in left_out
    assert back == "part works again"


def test_an_error_now_and_then_costs_no_other_request_the_stage(stage, clock):
    for _ in range(5):
        assert reason(stage, lambda: 1 / 0) == "error"
        assert reason(stage, clock.taking(0.0)) == "done"


def test_an_error_of_our_own_is_told_in_its_words(stage, caplog):
    def fail() -> None:
        raise FeatureStoreError("the online store does not answer")

    assert reason(stage, fail, within=None) == "error"
    assert caplog.messages == ["part is left out of a request: the online store does not answer"]


# Beside the event loop


def beside(stage: Stage, work, *, within: float | None = 5.0) -> object:
    """As `reason`, of run_aside."""

    async def run() -> object:
        try:
            return await stage.run_aside(work, within=within)
        except LeftOut as left_out:
            return left_out.reason

    return asyncio.run(run())


def test_work_beside_the_event_loop_runs_in_a_thread_and_is_judged_as_any_other(stage, clock):
    assert beside(stage, threading.get_ident, within=None) != threading.get_ident()
    assert beside(stage, lambda: 1 / 0, within=None) == "error"
    # As long as a busy machine may take in fact, and a little less than a stage is left alone for.
    within = 0.96 * RETRY_S
    for _ in range(2):
        assert beside(stage, clock.taking(0.98 * RETRY_S), within=within) == "done"
    # It seems too slow by now for what it has: one tries, and the next does not.
    clock.now += RETRY_S
    assert beside(stage, clock.taking(0.98 * RETRY_S), within=within) == "done"
    assert beside(stage, clock.taking(0.0), within=within) == "deadline"


def test_work_beside_the_event_loop_is_cut_off_when_it_hangs():
    stage, go_on = Stage("part"), threading.Event()
    began = time.perf_counter()
    assert beside(stage, lambda: go_on.wait(5), within=0.05) == "deadline"
    assert time.perf_counter() - began < 2
    assert stage._still_hanging() == 1
    go_on.set()


def test_work_that_was_over_while_the_event_loop_was_busy_is_not_cut_off():
    stage = Stage("part")

    async def run() -> str:
        asyncio.get_running_loop().call_later(0.02, time.sleep, 0.3)
        return await stage.run_aside(lambda: time.sleep(0.1) or "done", within=0.2)

    assert asyncio.run(run()) == "done"
    assert stage._still_hanging() == 0
