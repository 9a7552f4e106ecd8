"""Faults of the request path with real parts: each answer is valid and in time, says what it lacks, and comes back."""

import pydoc
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from redis import Redis

from recsys.config import Config, InteractionType, Serving, Source
from recsys.online_address import SQLITE
from recsys.retrieval import CHANNELS, Channels
from serving.api import create_app
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.course import Course
from serving.events import EventLog
from serving.service import Service
from serving.types import RankedList
from tests.serving.made_bundle import made_engine
from tests.serving.test_engine_online_store import filled
from tests.stalls import watched
from tests.valkey import address_of, valkey_server

DEADLINE_MS = 300.0
"""Far more than an answer takes here, on a busy machine too."""
SLOW_S = 1.0
CANDIDATES = ["p1", "x1", "a2"]
CONFIG = Config(
    name="made",
    source=Source(interactions="none"),
    interaction_types={"click": InteractionType(label=True)},
    serving=Serving(deadline_ms=DEADLINE_MS),
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine nothing is tried again before a test has looked."""
    monkeypatch.setattr("serving.stage.RETRY_S", 1.0)


@pytest.fixture
def engine(tmp_path: Path, made_scorer: Path) -> BundleEngine:
    return made_engine(tmp_path, made_scorer)


def in_time(ask: Callable[[Course], RankedList]) -> tuple[list[str], list[str]]:
    """The items of an answer, which must be there before its deadline, and what it had to do without."""
    course = Course(DEADLINE_MS)
    started = time.perf_counter()
    found = ask(course)
    assert time.perf_counter() - started < DEADLINE_MS / 1000
    return [item.item_id for item in found.items], found.degraded


def rank(engine: BundleEngine, user: str = "fan", **fields: Any) -> tuple[list[str], list[str]]:
    return in_time(lambda course: engine.rank(Asked(user, course=course, **fields), CANDIDATES))


def recommend(engine: BundleEngine, user: str = "fan", limit: int = 3) -> tuple[list[str], list[str]]:
    return in_time(lambda course: engine.recommend(Asked(user, limit=limit, course=course), exclude=["a1"]))


class Slow:
    """Makes a part slow for as long as it is told to."""

    def __init__(self, part: Callable[..., Any]) -> None:
        self._part = part
        self.is_slow = True
        self.calls = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.is_slow:
            time.sleep(SLOW_S)
        return self._part(*args, **options)


def failing(*_: Any, **__: Any) -> Any:
    raise KeyError("broken")


# The text scorer


def test_a_slow_text_scorer_is_cut_off_then_not_begun_and_used_again_when_it_is_quick(engine, monkeypatch):
    scorer = engine.live.recommender.text.scorer
    slow = Slow(scorer.score)
    monkeypatch.setattr(scorer, "score", slow)
    for _ in range(2):
        items, degraded = rank(engine)
        assert (set(items), degraded) == (set(CANDIDATES), ["text_interest: deadline"])
    calls = slow.calls
    started = time.perf_counter()
    for _ in range(5):
        assert rank(engine)[1] == ["text_interest: deadline"]
    assert time.perf_counter() - started < 5 * DEADLINE_MS / 1000 / 2
    assert slow.calls == calls == 2
    slow.is_slow = False
    time.sleep(2 * SLOW_S)
    assert rank(engine) == (["a2", "p1", "x1"], [])
    assert rank(engine) == (["a2", "p1", "x1"], [])


def test_without_the_text_scorer_a_user_is_ranked_for_by_the_interest_of_before(engine, monkeypatch):
    known = rank(engine), recommend(engine)
    assert known[0] == (["a2", "p1", "x1"], [])
    monkeypatch.setattr(engine.live.recommender.text.scorer, "score", failing)
    for ask, (items, _) in zip((rank, recommend), known, strict=True):
        assert ask(engine) == (items, ["text_interest: error", "cached_interest: 0 s old"])
    # The interest in the whole catalogue knows of other candidates too.
    found = engine.rank(Asked("fan", course=Course(DEADLINE_MS)), ["x3", "a2", "x1"])
    assert found.items[0].item_id == "a2"
    assert "cached_interest: 0 s old" in found.degraded


def test_without_the_text_scorer_nobody_gets_an_answer_to_a_query_but_all_get_an_answer(engine, monkeypatch):
    assert rank(engine, "nobody", query="pear")[0][0] == "p1"
    monkeypatch.setattr(engine.live.recommender.text.scorer, "score", failing)
    assert rank(engine, "nobody", query="pear") == (["x1", "p1", "a2"], ["text_interest: error"])
    items, degraded = recommend(engine, "nobody")
    assert (len(items), degraded) == (3, ["text_interest: error"])


def test_a_slow_encoder_costs_an_answer_its_query_alone(engine, monkeypatch):
    without = rank(engine)
    monkeypatch.setattr(engine.live.text.encoder, "encode", Slow(engine.live.text.encoder.encode))
    items, degraded = rank(engine, query="pear")
    assert (items, degraded) == (without[0], ["text_query: deadline"])


@pytest.mark.parametrize("how", ["slow", "broken"])
def test_in_a_large_catalogue_others_than_the_text_channels_find_items_while_the_scorer_fails(
    tmp_path, made_scorer, monkeypatch, how
):
    engine = made_engine(tmp_path, made_scorer, indexed=True)
    scorer = engine.live.recommender.text.scorer
    monkeypatch.setattr(scorer, "score", Slow(scorer.score) if how == "slow" else failing)
    items, degraded = recommend(engine, limit=5)
    assert (len(items), degraded) == (5, [f"text_interest: {'deadline' if how == 'slow' else 'error'}"])


@pytest.mark.parametrize(
    ("ask", "part"),
    [(rank, "features.assembler.Request"), (recommend, "recsys.retrieval.from_history.FromHistory.compute")],
)
def test_what_needs_no_text_is_computed_while_the_text_model_works(engine, monkeypatch, ask, part):
    # Then it is known to be in time.
    expected = [ask(engine) for _ in range(3)][-1]
    computed, scorer, works = threading.Event(), engine.live.recommender.text.scorer, pydoc.locate(part)
    assert callable(works)
    monkeypatch.setattr(part, lambda *args: (works(*args), computed.set())[0])
    score, seen = scorer.score, []
    # It ends only when that is there.
    monkeypatch.setattr(scorer, "score", lambda *args: (seen.append(computed.wait(0.1)), score(*args))[1])
    assert ask(engine) == expected
    assert seen == [True]


# The other stages


def test_a_ranker_that_fails_leaves_popularity_to_rank_by_and_the_merge_to_recommend_from(engine, monkeypatch):
    monkeypatch.setattr(engine._ladder._ranker, "predict", failing)
    assert rank(engine) == (["x1", "p1", "a2"], ["ranker: error"])
    items, degraded = recommend(engine)
    assert (len(items), degraded) == (3, ["ranker: error"])


def test_retrieval_that_hangs_leaves_what_is_popular_without_what_is_excluded(tmp_path, made_scorer):
    hanging = Slow(CHANNELS["fresh"])
    engine = made_engine(tmp_path, made_scorer, channels=Channels({**CHANNELS, "fresh": hanging}))
    found = engine.recommend(Asked("fan", limit=3, course=Course(DEADLINE_MS)), exclude=["x1", "x2"])
    assert [item.item_id for item in found.items] == ["x3", "x4", "x5"]
    assert {item.channels for item in found.items} == {("popular",)}
    assert found.degraded == ["retrieval: deadline"]
    hanging.is_slow = False
    time.sleep(SLOW_S)
    assert recommend(engine, limit=1) == (["a2"], [])


def with_quick(part: str, folder: Path, scorer: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[BundleEngine, Slow]:
    """An engine with a channel, or a ranker, that may turn slow."""
    channel = Slow(CHANNELS["popular"])
    channel.is_slow = False
    engine = made_engine(folder, scorer, channels=Channels({**CHANNELS, "popular": channel}))
    if part == "retrieval":
        return engine, channel
    ranker = Slow(engine._ladder._ranker.predict)
    ranker.is_slow = False
    monkeypatch.setattr(engine._ladder._ranker, "predict", ranker)
    return engine, ranker


def late_of(asks: list[Callable[[], RankedList]]) -> list[bool]:
    """Of each answer whether it came after its deadline; the items must be there all the same."""
    found = []
    for ask in asks:
        started = time.perf_counter()
        assert ask().items
        found.append(time.perf_counter() - started > DEADLINE_MS / 1000)
    return found


def every_kind(engine: BundleEngine) -> list[Callable[[], RankedList]]:
    """Two requests of each kind."""

    def asked(**fields: Any) -> Asked:
        return Asked("fan", limit=3, course=Course(DEADLINE_MS), **fields)

    kinds: list[Callable[[], RankedList]] = [
        lambda: engine.recommend(asked()),
        lambda: engine.rank(asked(), CANDIDATES),
        lambda: engine.recommend(asked(explain=True)),
        lambda: engine.rank(asked(explain=True), CANDIDATES),
        lambda: engine.similar(asked(), "a1"),
        lambda: engine.trending(asked()),
    ]
    return kinds * 2


@pytest.mark.parametrize("part", ["ranker", "retrieval"])
def test_a_ranker_or_a_channel_that_turns_slow_makes_one_answer_late_and_comes_back_when_it_is_quick(
    tmp_path, made_scorer, monkeypatch, part
):
    engine, slow = with_quick(part, tmp_path, made_scorer, monkeypatch)
    # Quick for so long that it runs where the request runs.
    for _ in range(3):
        late_of(every_kind(engine))
    slow.is_slow = True
    assert sum(late_of(every_kind(engine) * 2)) == 1
    assert recommend(engine)[1] == [f"{part}: deadline"]
    slow.is_slow = False
    time.sleep(2 * SLOW_S)
    for _ in range(3):
        assert not any(late_of(every_kind(engine)))
    assert recommend(engine, limit=1) == (["a2"], [])
    assert rank(engine) == (["a2", "p1", "x1"], [])


@pytest.mark.parametrize("part", ["ranker", "retrieval"])
def test_one_stall_of_the_machine_costs_the_answers_that_follow_nothing(tmp_path, made_scorer, monkeypatch, part):
    engine, slow = with_quick(part, tmp_path, made_scorer, monkeypatch)
    for _ in range(3):
        recommend(engine)
    slow.is_slow = True
    assert late_of([lambda: engine.recommend(Asked("fan", limit=3, course=Course(DEADLINE_MS)))]) == [True]
    slow.is_slow = False
    for _ in range(20):
        assert recommend(engine, limit=1) == (["a2"], [])
        assert rank(engine) == (["a2", "p1", "x1"], [])


def test_a_channel_of_the_project_that_hangs_is_left_out_and_the_others_bring_items(tmp_path, made_scorer):
    hanging = Slow(lambda query: query.nothing())
    engine = made_engine(tmp_path, made_scorer, channels=Channels({**CHANNELS, "season": hanging}))
    for _ in range(4):
        assert recommend(engine, limit=1) == (["a2"], ["channel season: deadline"])
    assert hanging.calls == 2


def test_without_any_time_what_is_popular_is_ranked_first_all_the_same(engine):
    found = engine.rank(Asked("fan", course=Course(0.001)), CANDIDATES)
    assert [item.item_id for item in found.items] == ["x1", "p1", "a2"]
    assert found.degraded == ["user_features: deadline", "text_interest: deadline", "ranker: deadline"]
    found = engine.recommend(Asked("fan", limit=2, course=Course(0.001)))
    assert [item.item_id for item in found.items] == ["x1", "x2"]
    for ask in (lambda asked: engine.similar(asked, "a1"), engine.trending):
        assert len(ask(Asked(limit=2, course=Course(0.001))).items) == 2


def test_reasons_that_would_be_late_are_left_out_and_the_items_are_there(engine, monkeypatch):
    monkeypatch.setattr(engine._answering._explaining._explainer, "of_ranker", Slow(lambda *_: []))
    course = Course(DEADLINE_MS)
    found = engine.rank(Asked("fan", explain=True, course=course), CANDIDATES)
    assert [item.item_id for item in found.items] == ["a2", "p1", "x1"]
    assert (found.items[0].reasons, found.degraded) == ([], ["explanations: deadline"])


def test_the_features_of_a_degraded_answer_are_not_logged(tmp_path, made_scorer, monkeypatch):
    engine = made_engine(tmp_path, made_scorer)
    engine._answering._logged_share = 1.0
    assert engine.rank(Asked("fan"), CANDIDATES).features is not None
    monkeypatch.setattr(engine.live.recommender.text.scorer, "score", failing)
    assert engine.rank(Asked("fan"), CANDIDATES).features is None


# The online store


def test_an_online_store_whose_file_is_gone_costs_answers_what_it_knows_of_users_until_it_is_back(
    tmp_path, made_scorer, monkeypatch
):
    monkeypatch.setattr("serving.stage.RETRY_S", 0.0)
    monkeypatch.setattr("serving.live_behaviour.USERS_KEPT", 0)
    store = filled(tmp_path / "features", SQLITE)
    engine = made_engine(tmp_path, made_scorer, store)
    known = rank(engine)
    assert known == (["a2", "p1", "x1"], [])
    folder, elsewhere = tmp_path / "features" / "online", tmp_path / "elsewhere"
    shutil.move(folder, elsewhere)
    # A file that is open stays readable.
    assert rank(engine) == known
    store._online.close()
    assert rank(engine) == (["x1", "p1", "a2"], ["user_features: error"])
    shutil.rmtree(folder)
    shutil.move(elsewhere, folder)
    assert rank(engine) == known


def test_an_online_store_that_hangs_is_cut_off_in_time(tmp_path, made_scorer, monkeypatch):
    monkeypatch.setattr("serving.live_behaviour.USERS_KEPT", 0)
    with valkey_server(tmp_path) as server:
        engine = made_engine(tmp_path, made_scorer, filled(tmp_path / "features", address_of(server)))
        known = rank(engine)
        with Redis.from_url(address_of(server)) as client:
            client.execute_command("CLIENT", "PAUSE", 1500, "ALL")
        for _ in range(5):
            assert rank(engine) == (["x1", "p1", "a2"], ["user_features: deadline"])
        until = time.monotonic() + 10
        while rank(engine) != known:
            assert time.monotonic() < until
            time.sleep(0.1)


@pytest.fixture
def client_of(tmp_path: Path) -> Iterator[Callable[[BundleEngine], TestClient[Any]]]:
    with EventLog.open(tmp_path / "log.db") as log:
        yield lambda engine: TestClient(create_app(Service(log, CONFIG, engine)))


def test_a_store_that_is_stopped_and_started_under_load_costs_no_answer(tmp_path, made_scorer, monkeypatch, client_of):
    monkeypatch.setattr("features.online.RETRY_AFTER_S", 0.2)
    monkeypatch.setattr("serving.live_behaviour.USERS_KEPT", 0)
    with valkey_server(tmp_path) as server:
        engine = made_engine(tmp_path, made_scorer, filled(tmp_path / "features", address_of(server)))

        def stop_and_start() -> None:
            for _ in range(2):
                time.sleep(0.5)
                server.terminate()
                time.sleep(0.5)
                server.start()

        disturbing = threading.Thread(target=stop_and_start)
        answers: list[dict[str, Any]] = []
        late: list[float] = []
        with client_of(engine) as client, watched() as stalls:

            def ask(route: str, **fields: Any) -> dict[str, Any]:
                began = time.monotonic()
                answer = client.post(route, json={"user_id": "fan", **fields})
                assert answer.status_code == 200
                found: dict[str, Any] = answer.json()
                answers.append(found)
                # Servers are started beside it, and other programs run: time that nobody got does not count.
                stalled = stalls.between(began, time.monotonic())
                late.append(found["took_ms"] - 1000 * stalled)
                return found

            disturbing.start()
            while disturbing.is_alive():
                ask("/v1/rank", candidates=CANDIDATES)
                ask("/v1/recommend", limit=2)
            until = time.monotonic() + 10
            while ask("/v1/rank", candidates=CANDIDATES)["degraded"]:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert all(len(answer["items"]) >= 2 for answer in answers)
        assert {"user_features: error"} <= {part for answer in answers for part in answer["degraded"]}
        assert sum(not answer["degraded"] for answer in answers) > 10
        assert max(late) < DEADLINE_MS
