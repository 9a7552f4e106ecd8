import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest

from recsys.bundle_files import BATCH_SCORER_FILE
from recsys.interest import Vectors
from recsys.interest_inputs import Question
from recsys.state import Positions, UserState
from serving import interest_batches, watching
from serving.interest_batches import MOST_ON_GPU, InterestBatches, most_together
from serving.stage import LeftOut, Stage
from tests.recsys.test_interest import NOBODY

LONG_S = 5.0
"""Longer than any test waits."""


class Scorer:
    """Answers each question with its moment; notes of which moments each run was."""

    def __init__(self) -> None:
        self.runs: list[list[float]] = []
        self.broken: set[float] = set()
        self.go_on = threading.Event()
        self.go_on.set()

    def score(self, user: UserState, now: float, candidates: Positions | None, query: Vectors | None) -> Vectors:
        return self.score_many([Question(user, now, candidates, query)])[0]

    def score_many(self, questions: Sequence[Question]) -> list[Vectors]:
        self.runs.append([question.now for question in questions])
        assert self.go_on.wait(LONG_S)
        if self.broken & set(self.runs[-1]):
            raise KeyError("broken")
        return [np.full((len(question.candidates), 1), question.now, dtype=np.float32) for question in questions]


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


def question(now: float) -> Question:
    return Question(NOBODY, now, np.array([4, 7]))


def batches_of(scorer: Scorer, *, most: int = 4, wait_s: float = 0.0) -> InterestBatches:
    return InterestBatches(scorer, Stage("text_interest", may_hang=True), most=most, wait_s=wait_s)


async def asked(batches: InterestBatches, now: float, within: float | None = LONG_S) -> float | str:
    """What a question is answered with, or why it is not."""
    try:
        found = await batches.score(question(now), within=within)
    except LeftOut as left_out:
        return left_out.reason
    assert found.shape == (2, 1)
    return float(found[0, 0])


def run(work: Callable[[], Awaitable[list[float | str]]]) -> list[float | str]:
    return asyncio.run(work())


def test_those_that_arrive_together_are_scored_in_one_run_and_each_gets_its_own(scorer):
    batches = batches_of(scorer, wait_s=0.05)

    async def work():
        return await asyncio.gather(*(asked(batches, now) for now in (1, 2, 3)))

    assert run(work) == [1, 2, 3]
    assert scorer.runs == [[1, 2, 3]]


def test_a_full_batch_does_not_wait_and_the_others_follow_when_it_is_done(scorer):
    batches = batches_of(scorer, most=4, wait_s=1.0)

    async def work():
        return await asyncio.gather(*(asked(batches, now) for now in range(10)))

    began = time.perf_counter()
    assert run(work) == list(range(10))
    assert time.perf_counter() - began < 1.0
    assert scorer.runs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_one_alone_waits_for_others_as_long_as_it_was_told_to(scorer):
    batches = batches_of(scorer, wait_s=0.05)
    began = time.perf_counter()
    assert asyncio.run(asked(batches, 1)) == 1
    assert 0.05 <= time.perf_counter() - began < 1


def test_one_in_a_hurry_waits_no_longer_than_a_tenth_of_what_it_has_and_takes_the_others_with_it(scorer):
    batches = batches_of(scorer, wait_s=LONG_S)

    async def work():
        return await asyncio.gather(asked(batches, 1, within=10 * LONG_S), asked(batches, 2, within=1.0))

    began = time.perf_counter()
    assert run(work) == [1, 2]
    assert 0.1 <= time.perf_counter() - began < 1
    assert scorer.runs == [[1, 2]]


def test_what_comes_while_a_batch_is_scored_is_the_next_batch(scorer):
    batches = batches_of(scorer)
    scorer.go_on.clear()

    async def work():
        first = asyncio.create_task(asked(batches, 1))
        while not scorer.runs:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(asked(batches, now)) for now in (2, 3)]
        await asyncio.sleep(0.02)
        assert scorer.runs == [[1]]
        scorer.go_on.set()
        return await asyncio.gather(first, *others)

    assert run(work) == [1, 2, 3]
    assert scorer.runs == [[1], [2, 3]]


def test_one_that_cannot_be_scored_costs_the_others_of_its_batch_nothing(scorer):
    batches = batches_of(scorer, wait_s=0.05)
    scorer.broken = {2}

    async def work():
        return await asyncio.gather(*(asked(batches, now) for now in (1, 2, 3)))

    assert run(work) == [1, "error", 3]
    assert scorer.runs == [[1, 2, 3], [1], [2], [3]]


def test_when_none_can_be_scored_all_are_told_and_after_three_times_it_is_left_alone(scorer):
    batches = batches_of(scorer, wait_s=0.01)
    scorer.broken = {1, 2}

    async def work():
        found = []
        for _ in range(4):
            found += await asyncio.gather(asked(batches, 1), asked(batches, 2))
        return found

    assert run(work) == ["error"] * 8
    assert len(scorer.runs) == 3 * 3


def test_one_whose_time_is_over_leaves_and_the_others_get_their_answer(scorer):
    batches = batches_of(scorer)
    scorer.go_on.clear()

    async def work():
        hurried, patient = (asyncio.create_task(asked(batches, *each)) for each in ((1, 0.05), (2, LONG_S)))
        assert await hurried == "deadline"
        scorer.go_on.set()
        return [await patient]

    assert run(work) == [2]
    assert scorer.runs == [[1, 2]]


def test_a_batch_that_hangs_does_not_keep_those_that_come_later(scorer):
    batches = batches_of(scorer)
    scorer.go_on.clear()

    async def work():
        stuck = [asyncio.create_task(asked(batches, *each)) for each in ((1, 0.05), (2, LONG_S))]
        assert await stuck[0] == "deadline"
        later = asyncio.create_task(asked(batches, 3))
        while len(scorer.runs) < 2:
            await asyncio.sleep(0.001)
        scorer.go_on.set()
        return [await stuck[1], await later]

    assert run(work) == [2, 3]
    # On a busy machine the thread of the first may begin late.
    assert sorted(scorer.runs) == [[1, 2], [3]]


def test_without_time_nothing_is_begun(scorer):
    assert asyncio.run(asked(batches_of(scorer), 1, within=0.0)) == "deadline"
    assert scorer.runs == []


def test_one_whose_client_went_away_is_not_scored(scorer):
    batches = batches_of(scorer, wait_s=0.05)

    async def work():
        gone, stays = (asyncio.create_task(asked(batches, now)) for now in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        return [await stays]

    assert run(work) == [2]
    assert scorer.runs == [[2]]


def test_what_was_ready_while_the_event_loop_was_busy_is_used(scorer):
    batches = batches_of(scorer)

    async def work():
        one = asyncio.create_task(asked(batches, 1, within=0.2))
        while not scorer.runs:
            await asyncio.sleep(0.001)
        # Other requests keep the loop for longer than this one waits.
        time.sleep(0.3)
        return [await one]

    assert run(work) == [1]


def test_a_batch_is_noted_once_and_the_time_of_each_request_by_itself(scorer):
    batches = batches_of(scorer, wait_s=0.02)

    async def watched(now: float) -> watching.Watched:
        found = watching.Watched()
        watching.CURRENT.set(found)
        await batches.score(question(now), within=None)
        return found

    async def work():
        return await asyncio.gather(*(watched(now) for now in (1, 2, 3)))

    found = asyncio.run(work())
    assert [one.batch for one in found] == [3, None, None]
    for one in found:
        (took,) = one.stages
        assert took.stage == "text_interest"
        assert took.seconds >= 0.02


@pytest.mark.parametrize(
    ("wanted", "on_gpu", "most"),
    [("auto", False, 1), ("auto", True, MOST_ON_GPU), (8, False, 8), (8, True, 8), (1, True, 1)],
)
def test_by_itself_a_server_batches_on_a_gpu_alone(tmp_path, monkeypatch, wanted, on_gpu, most):
    (tmp_path / BATCH_SCORER_FILE).touch()
    cpu = ["CPUExecutionProvider"]
    monkeypatch.setattr(
        interest_batches, "execution_providers", lambda: ["CUDAExecutionProvider", *cpu] if on_gpu else cpu
    )
    assert most_together(tmp_path, wanted) == most


def test_a_bundle_of_before_is_scored_one_by_one_and_says_what_to_do(tmp_path, caplog):
    assert most_together(tmp_path, 8) == 1
    assert "no scorer_batch.onnx, so requests are scored one by one; train again" in caplog.text
    caplog.clear()
    assert most_together(tmp_path, 1) == 1
    assert not caplog.text
