"""Requests that are answered at the same time, with the interest scored together, over a real engine."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from httpx import ASGITransport, AsyncClient

from recsys.bundle_files import BATCH_SCORER_FILE
from recsys.interest_inputs import Question
from serving.api import create_app
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.events import EventLog
from serving.item_types import ItemChange, ItemVersion
from serving.service import Service
from tests.serving.made_bundle import made_engine
from tests.serving.test_deadlines import CONFIG, DEADLINE_MS

CANDIDATES = ["p1", "x1", "a2"]
BODIES: list[dict[str, Any]] = [
    {"user_id": "fan", "candidates": CANDIDATES},
    {"user_id": "nobody", "candidates": ["a1", "x2", "p1", "x3"], "query": "pear"},
    {"user_id": "nobody", "candidates": ["p1", "a1", "a2"], "query": "green apple"},
    {"user_id": "fan", "candidates": ["x1"]},
    {"user_id": "stranger", "candidates": ["x4", "p1", "a2", "a1", "gone"], "query": "red"},
    {"user_id": "fan", "candidates": ["a2", "x5", "p1"], "query": "box", "filter": "title != 'pear'"},
    {"user_id": "nobody", "candidates": CANDIDATES},
    {"user_id": "nobody", "candidates": ["unheard", "of"]},
]
"""With a history, a query, both, and neither, with candidates that are not known or not allowed."""
SCORED = 7
"""Of these so many ask the scorer: all but the last."""
WAIT_MS = 50.0

Answer = dict[str, Any]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with EventLog.open(tmp_path / "log.db") as log:
        yield log


@pytest.fixture
def batched(tmp_path: Path, made_scorer: Path) -> BundleEngine:
    return warm(made_engine(tmp_path, made_scorer, batch_requests=32, batch_wait_ms=WAIT_MS))


def warm(engine: BundleEngine) -> BundleEngine:
    """It knows what an answer takes: until then requests begin one after the other."""
    for _ in range(3):
        engine.rank(Asked(), CANDIDATES)
    return engine


def serve(service: Service, work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    """What the work finds, in an event loop that answers its requests as well."""

    async def run() -> Any:
        transport = ASGITransport(app=create_app(service), raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://shop") as client:
            return await work(client)

    return asyncio.run(run())


async def ask(client: AsyncClient, body: Answer, route: str = "/v1/rank") -> Answer:
    answer = await client.post(route, json={"deadline_ms": 5000, **body})
    assert answer.status_code == 200, answer.text
    found: Answer = answer.json()
    return found


async def ask_all(client: AsyncClient, bodies: Sequence[Answer] = BODIES) -> list[Answer]:
    return await asyncio.gather(*(ask(client, body) for body in bodies))


def said(answer: Answer) -> Answer:
    """What does not change from one request to the next."""
    return {name: answer[name] for name in ("bundle", "degraded", "items", "unknown", "filtered")}


def scorer_of(engine: BundleEngine) -> Any:
    text = engine.live.recommender.text
    assert text is not None
    return text.scorer


class Together:
    """Stands before score_many: counts its runs, and can be made slow or broken for some users."""

    def __init__(self, engine: BundleEngine) -> None:
        self.runs: list[int] = []
        self.alone = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.breaks: Callable[[Question], bool] = lambda question: False
        scorer = scorer_of(engine)
        self._many, self._one = scorer.score_many, scorer.score
        scorer.score_many, scorer.score = self.score_many, self.score

    def score_many(self, questions: Sequence[Question]) -> Any:
        self.runs.append(len(questions))
        self.go_on.wait(10)
        if any(self.breaks(question) for question in questions):
            raise KeyError("broken")
        return self._many(questions)

    def score(self, *question: Any) -> Any:
        self.alone += 1
        if self.breaks(Question(*question)):
            raise KeyError("broken")
        return self._one(*question)


def metric(text: str, name: str) -> float:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[-1])


def test_requests_at_the_same_time_share_a_run_and_each_gets_the_answer_that_it_gets_alone(
    tmp_path, made_scorer, log, batched
):
    alone = made_engine(tmp_path / "alone", made_scorer)
    together = Together(batched)

    async def one_by_one(client: AsyncClient) -> list[Answer]:
        return [await ask(client, body) for body in BODIES]

    expected = serve(Service(log, CONFIG, alone), one_by_one)
    found = serve(Service(log, CONFIG, batched), ask_all)
    assert [item["item_id"] for item in expected[0]["items"]] == ["a2", "p1", "x1"]
    assert [answer["items"][0]["item_id"] for answer in expected[1:3]] == ["p1", "a2"]
    for mine, theirs in zip(found, expected, strict=True):
        scores = [[item.pop("score") for item in answer["items"]] for answer in (mine, theirs)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)
        assert said(mine) == said(theirs)
    assert sum(together.runs) >= SCORED
    assert len(together.runs) < SCORED / 2


def test_the_sizes_of_batches_and_the_time_for_the_interest_are_in_the_metrics(log, batched):
    service = Service(log, CONFIG, batched)

    async def work(client: AsyncClient) -> str:
        await ask_all(client, [BODIES[0]] * 5)
        return (await client.get("/metrics")).text

    text = serve(service, work)
    assert metric(text, "recsys_interest_batch_requests_sum") == 5
    assert metric(text, "recsys_interest_batch_requests_count") < 5
    assert metric(text, 'recsys_stage_seconds_count{stage="text_interest"}') == 5


def test_no_more_are_under_way_than_can_be_answered_in_the_time_of_each(log, batched, monkeypatch):
    together = Together(batched)
    # Half of the 5 s that there are, but for a quarter that is spared and what becoming JSON takes: 1.87 s.
    monkeypatch.setattr(batched._ladder, "keep_for", lambda candidates: 0.6)
    found = serve(Service(log, CONFIG, batched), lambda client: ask_all(client, [BODIES[0]] * 7))
    assert together.runs == [3, 3, 1]
    assert [answer["degraded"] for answer in found] == [[]] * 7


def test_the_time_of_a_request_runs_from_its_turn(log, batched, monkeypatch):
    together = Together(batched)
    monkeypatch.setattr(batched._ladder, "at_once", lambda asked, candidates: 1)
    # 25 of them wait 50 ms each for company that cannot come: 1,250 ms, of which each has less.
    bodies = [{**BODIES[0], "deadline_ms": 1000}] * 25
    found = serve(Service(log, CONFIG, batched), lambda client: ask_all(client, bodies))
    assert together.runs == [1] * 25
    assert [answer["degraded"] for answer in found] == [[]] * 25
    assert max(answer["took_ms"] for answer in found) > 1000


def test_metarank_requests_are_scored_together_too(log, batched):
    together = Together(batched)
    body = {"event": "ranking", "id": "1", "timestamp": "1", "user": "fan", "items": [{"id": i} for i in CANDIDATES]}

    async def work(client: AsyncClient) -> list[list[str]]:
        answers = await asyncio.gather(*(client.post("/compat/metarank/rank/any", json=body) for _ in range(4)))
        return [[item["item"] for item in answer.json()["items"]] for answer in answers]

    assert serve(Service(log, CONFIG, batched), work) == [["a2", "p1", "x1"]] * 4
    assert (sum(together.runs), together.alone) == (4, 0)
    assert len(together.runs) < 4


def test_off_means_off(tmp_path, made_scorer, log):
    engine = made_engine(tmp_path, made_scorer)
    together = Together(engine)
    assert not engine.scores_together
    assert not scorer_of(engine).scores_together
    threads = []
    answer = engine.rank
    engine.rank = lambda asked, candidates: threads.append(asked.begun) or answer(asked, candidates)
    serve(Service(log, CONFIG, engine), ask_all)
    assert threads == [None] * len(BODIES)
    assert together.runs == []


def test_a_bundle_without_the_graph_is_served_one_by_one(tmp_path, made_scorer, log, monkeypatch):
    older = tmp_path / "older"
    older.mkdir()
    (older / made_scorer.name).write_bytes(made_scorer.read_bytes())
    engine = made_engine(tmp_path, older / made_scorer.name, batch_requests=32)
    assert not (tmp_path / "bundles" / "made" / BATCH_SCORER_FILE).exists()
    together = Together(engine)
    assert serve(Service(log, CONFIG, engine), ask_all)[0]["degraded"] == []
    assert (together.runs, together.alone) == ([], SCORED)


# Faults


def test_a_request_that_cannot_be_scored_does_without_and_the_others_of_its_batch_do_not_notice(log, batched):
    together = Together(batched)
    together.breaks = lambda question: question.query is not None and question.query.argmax() == 1
    found = serve(Service(log, CONFIG, batched), ask_all)
    assert [answer["degraded"] for answer in found] == [[], ["text_interest: error"], *[[]] * 6]
    assert [item["item_id"] for item in found[0]["items"]] == ["a2", "p1", "x1"]
    assert found[2]["items"][0]["item_id"] == "a2"
    assert max(together.runs) > 1


def test_when_the_scorer_fails_the_interest_of_before_takes_its_place(log, batched):
    together = Together(batched)
    service = Service(log, CONFIG, batched)

    def answers() -> list[Answer]:
        return serve(service, lambda client: ask_all(client, BODIES[:2]))

    before = answers()
    together.breaks = lambda question: True
    of_fan, of_nobody = answers()
    assert [item["item_id"] for item in of_fan["items"]] == [item["item_id"] for item in before[0]["items"]]
    assert of_fan["degraded"] == ["text_interest: error", "cached_interest: 0 s old"]
    # Of a query nothing is kept.
    assert of_nobody["degraded"] == ["text_interest: error"]
    together.breaks = lambda question: False
    assert [answer["degraded"] for answer in answers()] == [[], []]


def test_a_batch_that_is_late_is_left_out_in_time_of_those_that_cannot_wait(log, batched):
    together = Together(batched)
    together.go_on.clear()

    async def work(client: AsyncClient) -> list[Answer]:
        patient = asyncio.create_task(ask(client, BODIES[0]))
        hurried = asyncio.create_task(ask(client, {**BODIES[1], "deadline_ms": DEADLINE_MS}))
        began = time.perf_counter()
        first = await hurried
        assert time.perf_counter() - began < DEADLINE_MS / 1000
        together.go_on.set()
        return [await patient, first]

    patient, hurried = serve(Service(log, CONFIG, batched), work)
    assert together.runs[0] == 2
    assert (patient["degraded"], hurried["degraded"]) == ([], ["text_interest: deadline"])
    assert [item["item_id"] for item in patient["items"]] == ["a2", "p1", "x1"]
    assert len(hurried["items"]) == 4


def test_a_condition_that_cannot_be_read_is_a_422_of_its_request_alone(log, batched):
    async def work(client: AsyncClient) -> list[int]:
        bodies = [BODIES[0], {**BODIES[0], "filter": "price <"}, BODIES[0]]
        answers = await asyncio.gather(*(client.post("/v1/rank", json=body) for body in bodies))
        return [answer.status_code for answer in answers]

    assert serve(Service(log, CONFIG, batched), work) == [200, 422, 200]


# What changes while a batch waits


def test_a_bundle_that_is_swapped_in_meanwhile_answers_the_next_request_and_no_other(
    tmp_path, made_scorer, log, batched
):
    other = warm(made_engine(tmp_path / "other", made_scorer, batch_requests=32, batch_wait_ms=WAIT_MS))
    other.bundle_id = "other"
    old, new = Together(batched), Together(other)
    service = Service(log, CONFIG, batched)
    old.go_on.clear()

    async def work(client: AsyncClient) -> list[Answer]:
        before = [asyncio.create_task(ask(client, BODIES[0])) for _ in range(3)]
        while not old.runs:
            await asyncio.sleep(0.001)
        service.between_requests(lambda: setattr(service, "engine", other))
        after = await ask_all(client, [BODIES[0]] * 3)
        old.go_on.set()
        return [*await asyncio.gather(*before), *after]

    found = serve(service, work)
    assert [answer["bundle"] for answer in found] == ["made"] * 3 + ["other"] * 3
    assert {tuple(item["item_id"] for item in answer["items"]) for answer in found} == {("a2", "p1", "x1")}
    assert (sum(old.runs), sum(new.runs)) == (3, 3)


def test_an_item_that_is_added_meanwhile_changes_no_answer_on_its_way(log, batched):
    together = Together(batched)
    together.go_on.clear()
    service = Service(log, CONFIG, batched)
    item = ItemVersion("a3", {"title": "apple"}, None)
    vector = batched.encode_items([item])[0]

    async def work(client: AsyncClient) -> list[Answer]:
        before = asyncio.create_task(ask(client, BODIES[0]))
        while not together.runs:
            await asyncio.sleep(0.001)
        service.between_requests(lambda: batched.apply_items([ItemChange(1, item, vector)]))
        later = asyncio.create_task(ask(client, {"user_id": "fan", "candidates": ["a3", "a2"]}))
        await asyncio.sleep(0.05)
        together.go_on.set()
        return [await before, await later]

    before, later = serve(service, work)
    assert [item["item_id"] for item in before["items"]] == ["a2", "p1", "x1"]
    assert (before["degraded"], later["degraded"], later["unknown"]) == ([], [], [])
    assert {item["item_id"] for item in later["items"]} == {"a2", "a3"}


def test_what_an_engine_has_begun_is_of_use_to_itself_alone(tmp_path, made_scorer, batched):
    other = made_engine(tmp_path / "other", made_scorer)
    asked = asyncio.run(batched.with_interest(Asked("fan"), CANDIDATES))
    assert asked.begun.interest.signals.shape[0] == len(CANDIDATES)
    # As if all of it were unknown: x1 is then the first, for its popularity.
    asked.begun.interest.signals[:] = np.nan
    assert [item.item_id for item in other.rank(asked, CANDIDATES).items] == ["a2", "p1", "x1"]
    assert [item.item_id for item in batched.rank(asked, CANDIDATES).items] != ["a2", "p1", "x1"]
