"""What users of an experiment are answered, what of it is logged, and that shadows cost an answer nothing."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient
from msgspec import convert

from recsys.config import Experiment, Variant
from serving.service import Service
from serving.shadow import MOST_WAITING
from serving.types import RankedList
from serving.variants import Experiments, Running
from tests.serving.fake_engine import FakeEngine
from tests.serving.logged import rows

HALF = Variant(share=0.5)
OTHER_HALF = Variant(bundle="other", share=0.5)
SHADOW = Variant(bundle="other", shadow=True)


class BackwardsEngine(FakeEngine):
    """Prefers what comes last in the alphabet."""

    bundle_id = "other"

    def rank(self, asked, candidates) -> RankedList:
        found = super().rank(replace(asked, limit=None), candidates)
        self.asked[-1] = asked
        return RankedList(found.items[::-1][: asked.limit], found.unknown, ["text_interest: error"])

    def recommend(self, asked, *, exclude, exclude_seen) -> RankedList:
        self.catalogue.sort(reverse=True)
        return super().recommend(asked, exclude=exclude, exclude_seen=exclude_seen)


class SlowEngine(BackwardsEngine):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()

    def rank(self, asked, candidates) -> RankedList:
        self.may_answer.wait(10)
        return super().rank(asked, candidates)


def run(service: Service, other: FakeEngine, name: str = "e", **settings: Any) -> None:
    """Have one experiment take place."""
    experiment = Experiment(**settings)
    engines = {variant: None if each.bundle == "champion" else other for variant, each in experiment.variants.items()}
    service.experiments = Experiments([*service.experiments.running, Running(name, experiment, engines)])


def rank(client: TestClient[Any], user: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/rank", json={"user_id": user, "candidates": ["a", "b", "c", "d"], **fields})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    body["order"] = "".join(item["item_id"] for item in body["items"])
    return body


def eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 5
    while not (result := found()) and time.monotonic() < until:
        time.sleep(0.01)
    return result


def test_each_user_always_gets_the_list_of_one_variant_and_the_answer_and_the_log_say_which(client, service, log_path):
    run(service, BackwardsEngine(), variants={"control": HALF, "new": OTHER_HALF})
    bodies = [rank(client, f"u{n}") for n in range(40)]
    variants = [body["experiment"]["variant"] for body in bodies]
    assert [rank(client, f"u{n}")["experiment"]["variant"] for n in range(40)] == variants
    assert 8 < Counter(variants)["new"] < 32
    for body in bodies:
        new = body["experiment"] == {"name": "e", "variant": "new"}
        assert (body["order"], body["bundle"]) == (("dcba", "other") if new else ("abcd", "fake-1"))
    service.event_log.close()
    logged = rows(log_path, "SELECT experiment, variant, bundle, teams FROM impressions ORDER BY sequence LIMIT 40")
    assert logged == [("e", body["experiment"]["variant"], body["bundle"], None) for body in bodies]


def test_outside_of_an_experiment_answers_are_those_of_the_champion(client, service, log_path):
    run(service, BackwardsEngine(), variants={"new": Variant(bundle="other", share=1.0)}, surfaces=["home"])
    assert rank(client, "u", surface="home")["order"] == "dcba"
    body = rank(client, "u", surface="cart")
    assert (body["order"], body["experiment"]) == ("abcd", None)
    assert client.get("/v1/trending").json()["experiment"] is None
    service.experiments = Experiments()
    assert rank(client, "u", surface="home")["order"] == "abcd"
    service.event_log.close()
    assert rows(log_path, "SELECT experiment FROM impressions") == [("e",), (None,), (None,)]


def test_an_experiment_takes_place_between_its_dates(client, service, monkeypatch):
    dates = {"starts": "2024-05-01T00:00:00Z", "ends": "2024-06-01T00:00:00Z"}
    experiment = convert({"variants": {"new": {"bundle": "other", "share": 1.0}}, **dates}, Experiment)
    service.experiments = Experiments([Running("e", experiment, {"new": BackwardsEngine()})])
    found = []
    for now in (1714521599.0, 1714521600.0, 1717199999.0, 1717200000.0):
        monkeypatch.setattr("serving.variants.time.time", lambda now=now: now)
        found.append(rank(client, "u")["order"])
    assert found == ["abcd", "dcba", "dcba", "abcd"]


def test_a_user_is_in_one_experiment_at_a_time_and_the_first_of_the_file_comes_first(client, service):
    run(service, BackwardsEngine(), "first", variants={"new": Variant(bundle="other", share=0.5)})
    run(service, BackwardsEngine(), "second", variants={"new": Variant(bundle="other", share=1.0)})
    names = [rank(client, f"u{n}")["experiment"]["name"] for n in range(40)]
    assert 8 < names.count("first") < 32
    assert names.count("first") + names.count("second") == 40


def test_an_interleaved_list_takes_items_of_both_in_turns_and_the_log_says_whose_each_is(client, service, log_path):
    run(service, BackwardsEngine(), variants={"control": HALF, "new": OTHER_HALF}, method="interleave")
    bodies = [rank(client, f"u{n}", limit=2) for n in range(30)]
    # Each round takes one item of each: the best of the one is a, of the other d.
    assert Counter(body["order"] for body in bodies).keys() == {"ad", "da"}
    assert bodies[0]["experiment"] == {"name": "e", "variant": None}
    assert bodies[0]["bundle"] == "fake-1+other"
    assert bodies[0]["degraded"] == ["text_interest: error"]
    service.event_log.close()
    logged = rows(log_path, "SELECT items, teams, variant, propensities FROM impressions")
    assert len(logged) == 30
    for items, teams, variant, propensities in logged:
        team_of = dict(zip(json.loads(items), json.loads(teams), strict=True))
        assert (team_of, variant, propensities) == ({"a": "control", "d": "new"}, None, None)


def test_interleaved_pages_do_not_repeat_an_item(client, service):
    run(service, BackwardsEngine(), variants={"control": HALF, "new": OTHER_HALF}, method="interleave")
    for user in ("u", "v", "w", "x"):
        first = client.post("/v1/recommend", json={"user_id": user, "limit": 2}).json()
        second = client.post("/v1/recommend", json={"user_id": user, "limit": 2, "page": first["next_page"]}).json()
        shown = [item["item_id"] for item in (*first["items"], *second["items"])]
        assert {*shown[:2]} == {"a", "f"}
        assert {*shown[2:]} == {"b", "e"}
        assert [item["rank"] for item in second["items"]] == [3, 4]


def test_an_interleaved_list_leaves_out_the_offset_of_the_mixture(client, service):
    run(service, BackwardsEngine(), variants={"control": HALF, "new": OTHER_HALF}, method="interleave")
    body = client.post("/v1/recommend", json={"user_id": "u", "offset": 2, "limit": 2}).json()
    assert {item["item_id"] for item in body["items"]} == {"b", "e"}


def test_each_of_two_mixed_engines_has_its_share_of_the_time(client, service):
    other = BackwardsEngine()
    run(service, other, variants={"control": HALF, "new": OTHER_HALF}, method="interleave")
    rank(client, "u", deadline_ms=8000)
    (first,), (second,) = service.engine.asked, other.asked
    assert second.course.left() - first.course.left() == pytest.approx(4.0 * 0.75, abs=0.1)


def test_where_lists_are_not_mixed_the_champion_answers_and_nothing_is_counted(client, service):
    run(service, BackwardsEngine(), variants={"control": HALF, "new": OTHER_HALF}, method="interleave")
    body = client.post("/v1/explain", json={"user_id": "u", "items": ["a"]}).json()
    assert (body["bundle"], body["experiment"]) == ("fake-1", None)


def test_a_shadow_is_asked_the_same_and_its_list_is_logged_as_no_impression(client, service, log_path):
    shadow = BackwardsEngine()
    run(service, shadow, variants={"control": Variant(share=1.0), "dark": SHADOW})
    body = rank(client, "u", query="pear", limit=3)
    assert body["order"] == "abc"
    assert eventually(lambda: shadow.asked)
    (asked,) = shadow.asked
    assert (asked.user_id, asked.query, asked.limit, asked.request_id) == ("u", "pear", 3, body["request_id"])
    # It is asked to the end, and what it lacks is not what the answer lacks.
    assert asked.course.left() is None
    assert body["degraded"] == []
    query = "SELECT request_id, experiment, variant, bundle, items FROM shadows"
    assert eventually(lambda: rows(log_path, query)) == [(body["request_id"], "e", "dark", "other", '["d","c","b"]')]
    assert eventually(lambda: rows(log_path, "SELECT variant FROM impressions")) == [("control",)]


def test_a_shadow_without_other_variants_is_asked_for_every_user(client, service):
    shadow = BackwardsEngine()
    run(service, shadow, variants={"dark": SHADOW})
    assert [rank(client, user)["experiment"] for user in "xyz"] == [None, None, None]
    assert eventually(lambda: len(shadow.asked) == 3)


def test_no_answer_waits_for_a_shadow_that_hangs_and_what_it_cannot_take_is_dropped(client, service, caplog):
    shadow = SlowEngine()
    run(service, shadow, variants={"dark": SHADOW})
    started = time.perf_counter()
    for n in range(MOST_WAITING + 12):
        rank(client, f"u{n}")
    assert time.perf_counter() - started < 5
    assert service.shadows.dropped == 12
    assert shadow.asked == []
    shadow.may_answer.set()
    assert eventually(lambda: len(shadow.asked) == MOST_WAITING)
    rank(client, "late")
    assert eventually(lambda: len(shadow.asked) == MOST_WAITING + 1)


def test_a_shadow_is_not_asked_while_requests_follow_each_other(client, service):
    shadow = BackwardsEngine()
    run(service, shadow, variants={"dark": SHADOW})
    rank(client, "u")
    until = time.perf_counter() + 0.2
    while time.perf_counter() < until:
        service.shadows.is_busy()
    assert shadow.asked == []
    assert eventually(lambda: len(shadow.asked) == 1)


def test_a_shadow_that_fails_is_asked_again_and_nobody_notices(client, service, caplog):
    shadow = BackwardsEngine()
    shadow.rank = lambda asked, candidates: 1 / 0  # type: ignore[method-assign]
    run(service, shadow, variants={"dark": SHADOW})
    assert [rank(client, user)["order"] for user in "xy"] == ["abcd", "abcd"]
    assert eventually(lambda: len(caplog.records) == 2)
    assert "a shadow failed with ZeroDivisionError" in caplog.text


def test_an_item_that_is_added_or_deleted_is_so_for_every_variant(client, service):
    other = BackwardsEngine()
    run(service, other, variants={"control": HALF, "new": OTHER_HALF})
    client.post("/v1/items", json={"item_id": "g", "title": "Grape"})
    assert {len(service.engine.catalogue), len(other.catalogue)} == {7}
    # Each has its own text model: the vectors are not shared.
    assert [change.item.item_id for change in other.changes] == ["g"]
    assert client.delete("/v1/items/g").status_code == 200
    assert {len(service.engine.catalogue), len(other.catalogue)} == {6}
