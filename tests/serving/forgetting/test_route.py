"""DELETE /v1/users/{user_id}/data: who may, what it answers, and that it reaches its own project alone."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from litestar.testing import TestClient

from recsys.errors import FeatureStoreError
from recsys.forgetting.register import Register
from recsys.workspace import Workspace
from serving import openapi
from serving.api import create_app
from serving.events import EventLog
from serving.forgetting.served import forget_served, forget_users
from serving.keys_file import KeysFile, LiveKeys
from serving.service import Service
from tests.recsys.project import project_of
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.forgetting.test_log import counts, use
from tests.serving.keyed import add_key, bearer
from tests.serving.logged import rows
from tests.serving.test_api import assert_problem
from tests.stored import files_with

USER = "17850-of-51bd20c4"
EVENT = {"user_id": USER, "item_id": "a", "event_type": "click"}


@contextmanager
def served(folder: Path, *names: str) -> Iterator[tuple[TestClient[Any], dict[str, Workspace], dict[str, str]]]:
    """An application of projects in which the user did something, and a key of each with every scope."""
    with ExitStack() as stack:
        services, workspaces, keys = [], {}, {}
        for name in names:
            (folder / name).mkdir()
            workspace = workspaces[name] = project_of(folder / name, {"interactions": "none.csv"})
            file = KeysFile(workspace.keys)
            keys[name] = add_key(file)
            log = stack.enter_context(EventLog.open(workspace.events))
            use(log, USER)
            use(log, f"{USER}/data")
            config = msgspec.structs.replace(CONFIG, name=name)
            forget = partial(forget_users, workspace)
            services.append(Service(log, config, FakeEngine(), keys=LiveKeys(file), forget=forget))
        client = stack.enter_context(TestClient(create_app(*services), raise_server_exceptions=False))
        yield client, workspaces, keys


def test_it_counts_what_is_gone_and_says_what_is_left_and_the_register_has_the_hash_alone(tmp_path):
    with served(tmp_path, "okapi") as (client, workspaces, keys):
        answer = client.delete(f"/v1/users/{USER}/data", headers=bearer(keys["okapi"]))
        assert answer.status_code == 200
        one = dict.fromkeys(("interactions", "impressions", "users", "features", "shadows"), 1)
        assert answer.json() == {
            "status": "forgotten",
            "removed": {**one, "exported": 0, "online": 0},
            "left": ["bundles", "cache", "features", "tables"],
        }
        root = workspaces["okapi"].root
        assert [(one.served, one.done) for one in Register(root).users()] == [(True, False)]
        assert not [name for name in files_with(root, f"{USER}-e0") if not name.startswith("events.db")]
        again = client.delete(f"/v1/users/{USER}/data", headers=bearer(keys["okapi"]))
        assert sum(again.json()["removed"].values()) == 0


def test_the_same_user_of_another_project_is_left_alone(tmp_path):
    with served(tmp_path, "okapi", "zebra") as (client, workspaces, keys):
        before = counts(workspaces["zebra"].events)
        assert client.delete(f"/v1/users/{USER}/data", headers=bearer(keys["okapi"])).status_code == 200
        assert counts(workspaces["zebra"].events) == before
        assert Register(workspaces["zebra"].root).users() == []
        assert rows(workspaces["okapi"].events, f"SELECT * FROM interactions WHERE user_id = '{USER}'") == []


def test_it_needs_the_scope_admin_and_attributes_still_need_ingest(tmp_path):
    with served(tmp_path, "okapi") as (client, workspaces, _):
        file = KeysFile(workspaces["okapi"].keys)
        admin, ingest = bearer(add_key(file, "admin")), bearer(add_key(file, "ingest"))
        followed()
        assert_problem(client.delete(f"/v1/users/{USER}/data", headers=ingest), 403, None, "this route needs admin")
        assert_problem(client.delete(f"/v1/users/{USER}", headers=admin), 403, None, "this route needs ingest")
        assert client.delete(f"/v1/users/{USER}/data", headers=admin).status_code == 200
        assert client.delete(f"/v1/users/{USER}", headers=ingest).json()["status"] == "deleted"


def test_a_slash_in_an_id_is_encoded_and_is_no_end_of_an_address(tmp_path):
    with served(tmp_path, "okapi") as (client, workspaces, keys):
        key, log = bearer(keys["okapi"]), workspaces["okapi"].events
        encoded = quote(f"{USER}/data", safe="")
        assert client.delete(f"/v1/users/{encoded}", headers=key).json()["status"] == "deleted"
        assert client.delete(f"/v1/users/{encoded}/data", headers=key).json()["removed"]["interactions"] == 1
        assert rows(log, "SELECT DISTINCT user_id FROM interactions") == [(USER,)]


def test_what_is_sent_afterwards_is_of_a_user_who_came_back(tmp_path):
    with served(tmp_path, "okapi") as (client, workspaces, keys):
        key = bearer(keys["okapi"])
        client.delete(f"/v1/users/{USER}/data", headers=key)
        assert client.post("/v1/events", json=EVENT, headers=key).status_code == 200
        forget_again = Register(workspaces["okapi"].root).pending()
        assert forget_again is not None
        forget_served(workspaces["okapi"], forget_again, thoroughly=True)
        assert len(rows(workspaces["okapi"].events, f"SELECT * FROM interactions WHERE user_id = '{USER}'")) == 1


def test_a_place_that_cannot_be_written_is_a_503_that_names_no_user_and_the_rest_is_noted(tmp_path, monkeypatch):
    with served(tmp_path, "okapi") as (client, workspaces, keys):
        monkeypatch.setattr("serving.forgetting.served._forget_online", failing)
        answer = client.delete(f"/v1/users/{USER}/data", headers=bearer(keys["okapi"]))
        assert_problem(answer, 503, None, "not everything could be removed: FeatureStoreError")
        assert USER not in answer.text
        assert [(one.served, one.done) for one in Register(workspaces["okapi"].root).users()] == [(False, False)]


def failing(*_: object, **__: object) -> int:
    raise FeatureStoreError(f"no answer for {USER}")


def test_the_example_of_the_answer_has_its_fields(tmp_path):
    with served(tmp_path, "okapi") as (client, _, keys):
        answer = client.delete(f"/v1/users/{USER}/data", headers=bearer(keys["okapi"])).json()
        assert answer.keys() == openapi.FORGOTTEN_ANSWER.keys()
        assert answer["removed"].keys() == openapi.FORGOTTEN_ANSWER["removed"].keys()
        described = client.get("/openapi.json").json()["paths"]["/v1/users/{user_id}/data"]["delete"]
        assert described["security"] == [{"bearer": ["admin"]}, {"api_key": ["admin"]}]


def test_a_server_without_a_project_has_no_such_route(client):
    assert_problem(client.delete("/v1/users/u/data"), 404, None, "")


def test_no_id_is_no_user_and_a_user_may_be_called_data(tmp_path):
    with served(tmp_path, "okapi") as (client, workspaces, keys):
        assert client.delete("/v1/users//data", headers=bearer(keys["okapi"])).status_code == 404
        ingest = bearer(add_key(KeysFile(workspaces["okapi"].keys), "ingest"))
        followed()
        assert client.delete("/v1/users/data", headers=ingest).json() == {"status": "deleted", "user_id": "data"}


def followed() -> None:
    """Until keys that were made are known."""
    time.sleep(1.1)
