import time

from serving.ahead import Ahead
from serving.stage import Stage


def stage_of(seconds: float) -> Stage:
    """One that took so long of late."""
    stage = Stage("part")
    for _ in range(2):
        stage.run(lambda: time.sleep(seconds), within=10.0)
    return stage


def test_work_is_done_ahead_where_its_stage_is_surely_in_time_and_nowhere_else():
    done: list[str] = []
    quick = stage_of(0.01)
    Ahead(quick, lambda: done.append("in time"), within=10.0)()
    assert done == ["in time"]
    for stage, within in ((quick, 0.015), (quick, None), (Stage("never run"), 10.0), (quick, 0.0)):
        ahead = Ahead(stage, lambda: done.append("maybe late"), within=within)
        ahead()
        assert ahead.seconds == 0
    assert done == ["in time"]


def test_it_says_how_long_it_took_and_leaves_an_error_to_the_turn_of_the_work():
    ahead = Ahead(stage_of(0.001), lambda: time.sleep(0.02), within=10.0)
    ahead()
    assert 0.02 <= ahead.seconds < 1
    failing = Ahead(stage_of(0.001), lambda: 1 / 0, within=10.0)
    failing()
    assert failing.seconds > 0
