"""The commands of Feast on the features folder of a project: `feast serve`, `feast materialize`, `feast ui`."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from features.online_places import VARIABLE
from features.store import BehaviourStore
from tests.features.test_online import PASSWORD
from tests.features.test_store import bits
from tests.training.project import FEATURES, WEIGHTS, at, shop_tables
from tests.valkey import address_of, valkey_server

ROOT = Path(__file__).parents[2]
FEAST = Path(sys.executable).with_name("feast")
INTERACTIONS, CATALOGUE = shop_tables()
EARLY, LATE = at(60), at(120)
USERS = ["user-01", "user-42", "nobody"]
STARTED_WITHIN_S = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BehaviourStore:
    """The features of the made-up shop, as training leaves them."""
    store = BehaviourStore(tmp_path_factory.mktemp("features"), FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY, LATE])
    store.materialise(LATE)
    return store


def known(store: BehaviourStore) -> list[Any]:
    """All that the online store says of the items and of some users, to the bit."""
    store = BehaviourStore(store.folder, FEATURES, WEIGHTS)
    users = [bits(store.online_user(user, CATALOGUE)) for user in USERS]
    return [bits(store.online_items(CATALOGUE)), *users]


def feast(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """How to start a process of the command, over the source of this repository."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        "args": [str(FEAST), "-c", str(folder), *arguments],
        "env": {**os.environ, **(environment or {}), "PYTHONPATH": paths},
        "text": True,
    }


@contextmanager
def serving(folder: Path, command: str, environment: Mapping[str, str] | None = None) -> Iterator[httpx.Client]:
    """A server of Feast on a free port, once it listens; it and its workers are killed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / f"{command}.log"
    how = feast(folder, command, "--host", "127.0.0.1", "--port", str(port), environment=environment)
    with log.open("w") as said, subprocess.Popen(**how, stdout=said, stderr=said, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + STARTED_WITHIN_S
            while not listens(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                yield client
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def user_features(client: httpx.Client) -> dict[str, list[Any]]:
    """What the server answers of USERS: a list for each feature."""
    names = [f"user_behaviour:{name}" for name in FEATURES.user_columns] + ["user_history:history_items"]
    answer = client.post("/get-online-features", json={"features": names, "entities": {"user_id": USERS}})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    columns = [result["values"] for result in body["results"]]
    return dict(zip(body["metadata"]["feature_names"], columns, strict=True))


def assert_is_what_our_read_gives(answered: Mapping[str, list[Any]], store: BehaviourStore) -> None:
    for row, user in enumerate(USERS):
        state = store.online_user(user, CATALOGUE)
        behaviour = np.array([answered[name][row] for name in FEATURES.user_columns], dtype=np.float64)
        np.testing.assert_allclose(behaviour, state.behaviour, rtol=1e-6)
        history = [CATALOGUE.item_ids[item] for item in state.history]
        assert (answered["history_items"][row] or []) == history
    assert answered["history_items"][0]


def test_feast_serve_answers_with_the_values_of_our_own_read(store):
    with serving(store.folder, "serve") as client:
        assert_is_what_our_read_gives(user_features(client), store)


def test_feast_materialize_leaves_the_online_values_as_they_were(store):
    before = known(store)
    how = feast(store.folder, "materialize", EARLY.isoformat(), LATE.isoformat())
    done = subprocess.run(**how, capture_output=True, timeout=STARTED_WITHIN_S)
    assert done.returncode == 0, done.stderr
    assert known(store) == before


def test_the_feast_ui_shows_the_views(store):
    with serving(store.folder, "ui") as client:
        assert "<html" in client.get("/").text
        found = client.get("/api/v1/feature_views", params={"project": "recsys"}).json()
        names = {view["spec"]["name"] for view in found["featureViews"]}
        assert names == {"item_behaviour", "item_exposure", "user_behaviour", "user_history", "user_affinity"}


def test_feast_serve_reads_redis_whose_address_is_in_the_environment_and_in_no_file(tmp_path):
    with valkey_server(tmp_path) as server:
        server.client().config_set("requirepass", PASSWORD)
        address = address_of(server, password=PASSWORD)
        store = BehaviourStore(tmp_path / "features", FEATURES, WEIGHTS, online_store=address)
        store.snapshot(INTERACTIONS, CATALOGUE, [LATE])
        store.materialise(LATE)
        text = (store.folder / "feature_store.yaml").read_text()
        assert re.search(rf'"connection_string": "\$\{{{VARIABLE}\}}"', text)
        assert PASSWORD not in text
        with serving(store.folder, "serve", environment={VARIABLE: address}) as client:
            assert_is_what_our_read_gives(user_features(client), store)
