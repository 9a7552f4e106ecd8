"""Bundles over HTTP: listed, promoted and rolled back by a key with the scope admin; a broken one is refused."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from recsys.bundle import champion, champion_state, open_bundle, promote
from serving.api import create_app
from serving.bundle_shelf import BundleShelf
from serving.events import EventLog
from serving.reload import Reloader
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.shelves import add_bundle, made_project

RANK = {"user_id": "u", "candidates": ["b", "a"]}
PROBLEM = "application/problem+json"


class Running:
    """A server whose reloader looks when told to; its engines bear the name of the champion, whose files are whole."""

    def __init__(self, client: TestClient[Any], reloader: Reloader, bundles: Path) -> None:
        self.client, self.reloader, self.bundles = client, reloader, bundles

    def rank(self) -> tuple[str, list[str]]:
        answer = self.client.post("/v1/rank", json=RANK)
        assert answer.status_code == 200
        return answer.json()["bundle"], answer.json()["degraded"]


@pytest.fixture
def running(tmp_path: Path, made_scorer: Path) -> Iterator[Running]:
    workspace = made_project(tmp_path, made_scorer)
    bundles = workspace.bundles

    def load() -> FakeEngine:
        engine = FakeEngine()
        engine.bundle_id = open_bundle(champion(bundles)).manifest.bundle_id
        return engine

    with EventLog.open(tmp_path / "events.db") as log:
        service = Service(log, CONFIG, shelf=BundleShelf(workspace))
        reloader = Reloader(service, load, partial(champion_state, bundles))
        reloader.first()
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            yield Running(client, reloader, bundles)


def test_the_list_says_what_is_champion_and_what_answers(running):
    answer = running.client.get("/v1/bundles").json()
    assert (answer["serving"], answer["refused"]) == ("made", None)
    assert {line["bundle_id"]: line["champion"] for line in answer["bundles"]} == {"made": True, "other": False}


def test_a_promotion_and_a_rollback_are_answered_with_and_followed(running):
    answer = running.client.post("/v1/bundles/other/promote")
    assert (answer.status_code, answer.json()) == (200, {"champion": "other", "previous": "made"})
    running.reloader.look()
    assert running.rank() == ("other", [])
    answer = running.client.post("/v1/bundles/rollback")
    assert (answer.status_code, answer.json()) == (200, {"champion": "made", "previous": None})
    running.reloader.look()
    assert running.rank() == ("made", [])


@pytest.mark.parametrize("name", ["nope", "..", "%2e%2e%2fmade", "champion"])
def test_a_bundle_that_is_not_there_is_a_404(running, name):
    answer = running.client.post(f"/v1/bundles/{name}/promote")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


def test_a_corrupt_bundle_is_a_409_that_names_the_file(running):
    (running.bundles / "other" / "ranker.txt").write_text("tree!")
    answer = running.client.post("/v1/bundles/other/promote")
    assert (answer.status_code, answer.headers["content-type"]) == (409, PROBLEM)
    assert "other/ranker.txt: sha256 is" in answer.json()["detail"]
    assert champion(running.bundles).name == "made"


def test_a_bundle_of_another_version_is_a_409(running):
    add_bundle(running.bundles / "made", "old", features=["popularity_7d"])
    answer = running.client.post("/v1/bundles/old/promote")
    assert answer.status_code == 409
    assert "features are not those of this version" in answer.json()["detail"]


def test_there_may_be_nothing_to_go_back_to(running):
    answer = running.client.post("/v1/bundles/rollback")
    assert (answer.status_code, answer.headers["content-type"]) == (409, PROBLEM)
    assert "no champion is known from before made" in answer.json()["detail"]


def test_a_corrupt_champion_behind_the_servers_back_is_named_until_it_is_mended(running, caplog):
    trees = running.bundles / "other" / "ranker.txt"
    whole = trees.read_bytes()
    promote(running.bundles, "other")
    trees.write_bytes(whole[:-1])
    running.reloader.look()
    assert running.rank() == ("made", ["bundle: refused"])
    ready = running.client.get("/readyz")
    assert (ready.status_code, ready.json()["bundle"]) == (200, "made")
    assert ready.json()["refused"].startswith("the champion or its features cannot be loaded")
    assert "the log of the server says why" in running.client.get("/v1/bundles").json()["refused"]
    assert "other/ranker.txt: sha256 is" in caplog.text
    trees.write_bytes(whole)
    running.reloader.look()
    assert running.rank() == ("other", [])
    assert "refused" not in running.client.get("/readyz").json()


def test_a_rollback_from_a_corrupt_champion_ends_the_refusal(running):
    promote(running.bundles, "other")
    (running.bundles / "other" / "ranker.txt").unlink()
    running.reloader.look()
    assert running.rank() == ("made", ["bundle: refused"])
    assert running.client.post("/v1/bundles/rollback").status_code == 200
    running.reloader.look()
    assert running.rank() == ("made", [])


def test_a_server_without_a_folder_of_bundles_says_so(tmp_path):
    with EventLog.open(tmp_path / "events.db") as log:
        app = create_app(Service(log, CONFIG, FakeEngine()))
        with TestClient(app, base_url="http://127.0.0.1") as client:
            assert client.get("/v1/bundles").status_code == 404
            assert client.post("/v1/bundles/rollback").status_code == 404
