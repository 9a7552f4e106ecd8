"""What /metrics says of requests."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from recsys.client import AnswerItem
from serving.api import create_app
from serving.asked import Asked
from serving.events import EventLog
from serving.keys_file import KeysFile, LiveKeys
from serving.service import Service
from serving.stage import Stage
from serving.traffic import Traffic
from serving.types import RankedList
from serving.watching import Watched
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.keyed import add_key, bearer
from tests.serving.made_bundle import made_engine

RANK = {"user_id": "u", "candidates": ["b", "a"]}


class StagedEngine(FakeEngine):
    """Says what it does."""

    def rank(self, asked: Asked, candidates: Sequence[str]) -> RankedList:
        asked.course.attempt(Stage("text_interest"), lambda: time.sleep(0.003) or 1)  # type: ignore[func-returns-value]
        return super().rank(asked, candidates)


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the values of the labels, by the names of these."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_count_by_route_and_status_and_stages_by_name(tmp_path):
    with (
        EventLog.open(tmp_path / "events.db") as log,
        TestClient(create_app(Service(log, CONFIG, StagedEngine()))) as client,
    ):
        for body in (RANK, RANK, {"user_id": 7}):
            client.post("/v1/rank", json=body)
        client.delete("/v1/items/a-very-private-item")
        found, text = samples(client.get("/metrics").text), client.get("/metrics").text
    assert found["recsys_request_seconds_count", ("POST /v1/rank", "200")] == 2
    assert found["recsys_request_seconds_count", ("POST /v1/rank", "400")] == 1
    assert found["recsys_request_seconds_count", ("DELETE /v1/items/{item_id}", "404")] == 1
    assert found["recsys_stage_seconds_count", ("text_interest",)] == 2
    assert found["recsys_stage_seconds_bucket", ("0.0025", "text_interest")] == 0
    assert found["recsys_stage_seconds_sum", ("text_interest",)] >= 0.006
    assert found["recsys_requests_in_flight", ()] == 1
    assert "private" not in text


def test_what_answers_had_to_do_without_counts_by_part_and_reason_and_their_scores_do_not(tmp_path):
    with (
        EventLog.open(tmp_path / "events.db") as log,
        TestClient(create_app(Service(log, CONFIG, FakeEngine()))) as client,
    ):
        client.post("/v1/rank", json=RANK)
        client.post("/v1/recommend", json={"user_id": "stranger"})
        found = samples(client.get("/metrics").text)
    assert found["recsys_degraded_total", ("text_interest", "deadline")] == 1
    # Scores 1 and ½.
    assert found["recsys_score_count", ("POST /v1/rank",)] == 2
    assert found["recsys_score_sum", ("POST /v1/rank",)] == 1.5
    assert ("recsys_score_count", ("POST /v1/recommend",)) not in found


def watched(degraded: Sequence[str], items: int = 0) -> Watched:
    one = Watched()
    one.status, one.degraded = 200, degraded
    one.items = [AnswerItem("i", 0.1, 1, ())] * items
    return one


def test_an_age_behind_the_colon_makes_no_series_of_its_own():
    traffic = Traffic()
    traffic.add("r", watched(["text_interest: deadline", "cached_interest: 12 s old"]), 0.01)
    traffic.add("r", watched(["cached_interest: 13 s old", "channel other: error"]), 0.01)
    found = {
        (sample.labels["part"], sample.labels["reason"]): sample.value
        for family in traffic.collect()
        for sample in family.samples
        if sample.name == "recsys_degraded_total"
    }
    assert found == {("text_interest", "deadline"): 1, ("cached_interest", ""): 2, ("channel other", "error"): 1}


def test_projects_of_one_server_do_not_see_each_others_requests(tmp_path):
    files = [KeysFile(tmp_path / f"{name}.json") for name in ("shop", "desk")]
    shop, desk = (add_key(file) for file in files)
    with EventLog.open(tmp_path / "a.db") as a, EventLog.open(tmp_path / "b.db") as b:
        services = [
            Service(log, CONFIG, FakeEngine(), keys=LiveKeys(file)) for log, file in zip((a, b), files, strict=True)
        ]
        with TestClient(create_app(*services)) as client:
            client.post("/v1/rank", json=RANK, headers=bearer(shop))
            client.post("/v1/rank", json=RANK)
            found = [samples(client.get("/metrics", headers=bearer(key)).text) for key in (shop, desk)]
    assert found[0]["recsys_request_seconds_count", ("POST /v1/rank", "200")] == 1
    assert not [name for name, labels in found[1] if "POST /v1/rank" in labels]


def test_the_age_of_the_bundle_is_that_of_its_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("serving.metrics.time.time", lambda: 1_000_000_060.0)
    folder = tmp_path / "bundles" / "fake-1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(msgspec.json.encode({"created_at": "2001-09-09T01:46:40Z", "more": 1}))
    with EventLog.open(tmp_path / "events.db") as log:
        service = Service(log, CONFIG, FakeEngine(), bundles=tmp_path / "bundles")
        with TestClient(create_app(service)) as client:
            assert samples(client.get("/metrics").text)["recsys_bundle_age_seconds", ()] == 60.0
            service.bundles = tmp_path / "removed"
            assert ("recsys_bundle_age_seconds", ()) not in samples(client.get("/metrics").text)


def test_a_bundles_engine_says_how_long_each_of_its_stages_took(tmp_path: Path, made_scorer: Path):
    engine = made_engine(tmp_path, made_scorer)
    config = msgspec.structs.replace(CONFIG, serving=msgspec.structs.replace(CONFIG.serving, deadline_ms=10_000.0))
    with EventLog.open(tmp_path / "events.db") as log, TestClient(create_app(Service(log, config, engine))) as client:
        client.post("/v1/rank", json={"user_id": "fan", "candidates": ["a2", "x1"], "query": "red apple"})
        client.post("/v1/recommend", json={"user_id": "fan", "limit": 3})
        client.get("/v1/trending")
        text = client.get("/metrics").text
    stages = {labels[0] for name, labels in samples(text) if name == "recsys_stage_seconds_count"}
    assert {"user_features", "text_query", "text_interest", "ranker", "retrieval", "trending"} <= stages
    assert any(stage.startswith("channel ") for stage in stages)


def test_unknown_users_and_candidates_are_counted_beside_the_known_ones(tmp_path: Path, made_scorer: Path):
    engine = made_engine(tmp_path, made_scorer)
    config = msgspec.structs.replace(CONFIG, serving=msgspec.structs.replace(CONFIG.serving, deadline_ms=10_000.0))
    with EventLog.open(tmp_path / "events.db") as log, TestClient(create_app(Service(log, config, engine))) as client:
        client.post("/v1/rank", json={"user_id": "fan", "candidates": ["a2", "x1", "gone"]})
        client.post("/v1/rank", json={"user_id": "stranger", "candidates": ["nowhere"]})
        client.post("/v1/recommend", json={"user_id": "stranger", "limit": 3})
        client.post("/v1/recommend", json={"query": "red"})
        client.get("/v1/trending")
        found = samples(client.get("/metrics").text)
    assert [found["recsys_candidates_asked_total", (known,)] for known in ("yes", "no")] == [2, 2]
    # Nobody is looked up for unknown items alone, and two requests are for nobody.
    assert [found["recsys_users_asked_total", (known,)] for known in ("yes", "no")] == [1, 1]
