"""The engine of the bundle made by hand over an online store in Valkey, which is killed and started again."""

import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from redis import Redis

from features.store import BehaviourStore
from recsys.catalogue import Catalogue
from serving.asked import Asked
from serving.events import EventLog
from serving.types import Interaction
from tests.features.log import log
from tests.serving.made_bundle import FEATURE_SET, NOW, TITLES, made_engine
from tests.stalls import at_most
from tests.valkey import address_of, valkey_server

AS_OF = datetime.fromtimestamp(NOW, UTC)
CHOSEN_AT = datetime.fromtimestamp(NOW - 1000, UTC)


def filled(folder: Path, address: str) -> BehaviourStore:
    """Of the made bundle's user, who chose a1 once, and of others, who chose boxes."""
    boxes = [(f"other{at}", f"x{at % 3 + 1}", CHOSEN_AT) for at in range(30)]
    interactions = log(*((user, item, at, None, 1.0, "click") for user, item, at in [("fan", "a1", CHOSEN_AT), *boxes]))
    catalogue = Catalogue.load(pl.DataFrame({"item_id": list(TITLES), "title": list(TITLES.values())}))
    store = BehaviourStore(folder, FEATURE_SET, {"click": 1.0}, online_store=address)
    store.snapshot(interactions, catalogue, [AS_OF])
    store.materialise(AS_OF)
    return store


def test_an_engine_without_its_online_store_ranks_by_popularity_and_text_and_says_so_until_it_is_back(
    tmp_path, made_scorer, monkeypatch, caplog
):
    monkeypatch.setattr("features.online.RETRY_AFTER_S", 0.0)
    monkeypatch.setattr("serving.stage.RETRY_S", 0.0)
    monkeypatch.setattr("serving.live_behaviour.USERS_KEPT", 0)
    with valkey_server(tmp_path) as server:
        engine = made_engine(tmp_path, made_scorer, filled(tmp_path / "features", address_of(server)))

        def rank(user: str = "fan", query: str | None = None) -> tuple[list[str], list[str]]:
            found = engine.rank(Asked(user, query=query), ["p1", "x1", "a2"])
            return [item.item_id for item in found.items], found.degraded

        def recommend(user: str = "fan") -> tuple[list[str], list[str]]:
            found = engine.recommend(Asked(user, limit=3), exclude=["a1"], exclude_seen=True)
            return [item.item_id for item in found.items], found.degraded

        known, unknown = (rank(), recommend()), (rank("nobody"), recommend("nobody"))
        assert known[0] == (["a2", "p1", "x1"], [])
        assert unknown[0][0][0] == "x1"
        server.terminate()
        for _ in range(2):
            assert rank() == (unknown[0][0], ["user_features: error"])
            assert recommend() == (unknown[1][0], ["user_features: error"])
            assert rank(query="pear")[0][0] == "p1"
        server.start()
        assert (rank(), recommend()) == known
    down, up = caplog.messages
    assert down.startswith("user_features is left out of a request: unix:///")
    assert "the online store does not answer" in down
    assert "fan" not in down
    assert up == "user_features works again"


def test_a_store_that_hangs_costs_a_request_the_timeout_once_and_the_next_ones_nothing(
    tmp_path, made_scorer, monkeypatch
):
    monkeypatch.setattr("serving.live_behaviour.USERS_KEPT", 0)
    with valkey_server(tmp_path) as server:
        engine = made_engine(tmp_path, made_scorer, filled(tmp_path / "features", address_of(server)))
        with Redis.from_url(address_of(server)) as client:
            client.execute_command("CLIENT", "PAUSE", 1500, "ALL")
        with at_most(1.4, at_least=0.5):
            degraded = [engine.rank(Asked("fan"), ["p1", "a2"]).degraded for _ in range(5)]
        assert degraded == [["user_features: error"]] * 5
        time.sleep(2.0)
        assert engine.rank(Asked("fan"), ["p1", "a2"]).degraded == []


def test_events_that_come_while_the_store_is_down_are_seen_when_it_is_back(tmp_path, made_scorer, monkeypatch):
    monkeypatch.setattr("features.online.RETRY_AFTER_S", 0.0)
    monkeypatch.setattr("serving.stage.RETRY_S", 0.0)
    monkeypatch.setattr("serving.live_behaviour.USERS_KEPT", 0)
    monkeypatch.setattr("serving.live_behaviour.RETRY_S", 0.0)
    with valkey_server(tmp_path) as server, EventLog.open(tmp_path / "events.db") as events:
        engine = made_engine(tmp_path, made_scorer, filled(tmp_path / "features", address_of(server)))
        server.terminate()
        at = datetime.fromtimestamp(NOW + 5, UTC)
        events.append([Interaction(user_id="fan", item_id="p1", event_type="click", timestamp=at)])
        assert set(engine.rank(Asked("fan"), ["p1", "x1"]).degraded) == {"recent_events: error", "user_features: error"}
        server.start()
        found = engine.rank(Asked("fan"), ["x1", "p1"])
        assert (found.items[0].item_id, found.degraded) == ("p1", [])


def test_a_user_of_the_latest_requests_is_ranked_for_as_ever_while_the_store_is_down(tmp_path, made_scorer):
    with valkey_server(tmp_path) as server:
        engine = made_engine(tmp_path, made_scorer, filled(tmp_path / "features", address_of(server)))
        known = engine.rank(Asked("fan"), ["p1", "x1", "a2"])
        server.terminate()
        assert engine.rank(Asked("fan"), ["p1", "x1", "a2"]) == known
