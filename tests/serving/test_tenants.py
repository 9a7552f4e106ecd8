"""Two projects in one server: no answer and no log of one ever has anything of the other."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from recsys.bundle import Bundle, open_bundle
from recsys.errors import ConfigError
from recsys.workspace import Workspace
from serving.api import create_app
from serving.engine import BundleEngine
from serving.events import EventLog
from serving.keys_file import KeysFile, LiveKeys
from serving.service import Service
from serving.tenants import NoKeysError, check_apart, check_keys
from tests.recsys.project import project_of
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.keyed import add_key, bearer, id_of
from tests.serving.made_bundle import FEATURE_SET, NOW, MadeStore, publish_made_bundle

NAMES = ("okapi", "zebra")
WORDS = ("red apple", "green apple", "pear", "box", "red box")
MANY = msgspec.structs.replace(CONFIG, serving=msgspec.structs.replace(CONFIG.serving, max_candidates=50))


def titles(name: str) -> dict[str, str]:
    """The items of a project: okapi-0, which is a red apple, and so on."""
    return {f"{name}-{n}": word for n, word in enumerate(WORDS)}


class Store(MadeStore):
    """Knows the users fan and NAME-fan, who chose item 0 of the project."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def online_rows(self, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        known = [self._row("fan" if user in ("fan", f"{self._name}-fan") else user) for user in user_ids]
        return [{column: self._own(value) for column, value in row.items()} for row in known]

    def _own(self, value: Any) -> Any:
        return [f"{self._name}-0"] if value == ["a1"] else value


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, made_scorer: Path) -> dict[str, Bundle]:
    return {
        name: open_bundle(publish_made_bundle(tmp_path_factory.mktemp(name) / "bundles", made_scorer, titles(name)))
        for name in NAMES
    }


@contextmanager
def served(
    folder: Path, bundles: dict[str, Bundle], names: Sequence[str]
) -> "Iterator[tuple[TestClient[Any], dict[str, str]]]":
    """An application of these projects, and a key of each with every scope."""
    with ExitStack() as stack:
        services, keys = [], {}
        for name in names:
            own = folder / name
            own.mkdir()
            file = KeysFile(own / "keys.json")
            keys[name] = add_key(file)
            log = stack.enter_context(EventLog.open(own / "events.db"))
            engine = BundleEngine(
                bundles[name],
                Store(name),
                features=FEATURE_SET,
                events=own / "events.db",
                weights={"click": 1.0},
                candidates=40,
            )
            config = msgspec.structs.replace(MANY, name=name)
            services.append(Service(log, config, engine, keys=LiveKeys(file)))
        yield stack.enter_context(TestClient(create_app(*services), raise_server_exceptions=False)), keys


@dataclass(frozen=True)
class Sent:
    """A request of one project."""

    name: str
    method: str
    route: str
    body: dict[str, Any] | None


item_ids = st.sampled_from([*titles("okapi"), *titles("zebra"), "shared", "nobody's"])
user_ids = st.sampled_from(["fan", "okapi-fan", "zebra-fan", "new"])
texts = st.sampled_from([*WORDS, "apple", ""])
events = st.fixed_dictionaries(
    {
        "user_id": user_ids,
        "item_id": item_ids,
        "event_type": st.just("click"),
        "event_id": st.sampled_from(["e1", "e2", "e3"]),
        "timestamp": st.integers(61, 10_000).map(
            lambda s: (datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=s)).isoformat()
        ),
    }
)
bodies: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("POST", "/v1/rank"): st.fixed_dictionaries(
        {"user_id": user_ids, "candidates": st.lists(item_ids, min_size=1, max_size=12)},
        optional={"query": texts, "explain": st.booleans()},
    ),
    ("POST", "/v1/recommend"): st.fixed_dictionaries(
        {"user_id": user_ids, "limit": st.integers(1, 50)},
        optional={
            "query": texts,
            "explain": st.booleans(),
            "exclude_seen": st.booleans(),
            "exclude": st.lists(item_ids, max_size=5),
        },
    ),
    ("POST", "/v1/similar"): st.fixed_dictionaries({"item_id": item_ids, "limit": st.integers(1, 50)}),
    ("POST", "/v1/events"): events | st.fixed_dictionaries({"events": st.lists(events, min_size=1, max_size=4)}),
    ("POST", "/v1/items"): st.fixed_dictionaries({"item_id": item_ids, "title": texts.filter(bool)}),
    ("GET", "/readyz"): st.none(),
    ("GET", "/openapi.json"): st.none(),
    ("GET", "/docs"): st.none(),
}
sent = st.sampled_from(sorted(bodies)).flatmap(
    lambda which: st.builds(Sent, st.sampled_from(NAMES), st.just(which[0]), st.just(which[1]), bodies[which])
) | st.builds(
    Sent, st.sampled_from(NAMES), st.just("DELETE"), item_ids.map(lambda item: f"/v1/items/{item}"), st.none()
)


def answer(client: TestClient[Any], key: str, request: Sent) -> tuple[int, Any]:
    """Status and body, without what is by chance or by the clock."""
    found = client.request(request.method, request.route, json=request.body, headers=bearer(key))
    if "json" not in found.headers["content-type"]:
        return found.status_code, found.text
    body = found.json()
    # Each list of pages has a number of its own.
    of_the_moment = ("request_id", "took_ms", "next_page")
    return found.status_code, {name: value for name, value in body.items() if name not in of_the_moment}


def logged(folder: Path) -> list[list[tuple[Any, ...]]]:
    """What an event log has of events, impressions and items, but for ids and times that are by chance."""
    queries = (
        "SELECT sequence, event_id, user_id, item_id, event_type, timestamp, query FROM interactions ORDER BY sequence",
        "SELECT user_id, items, surface, bundle, query FROM impressions ORDER BY sequence",
        "SELECT * FROM items ORDER BY sequence",
    )
    with closing(sqlite3.connect(folder / "events.db")) as log:
        rows = [log.execute(query).fetchall() for query in queries]
    columns = [row[:3] for row in rows[2]]
    return [rows[0], rows[1], columns]


@settings(max_examples=25, deadline=None)
@given(requests=st.lists(sent, min_size=1, max_size=25))
def test_no_answer_or_log_of_a_project_depends_on_what_the_other_has_or_was_asked(bundles, requests):
    """Each project gets the same answers as in a server of its own, which holds nothing of the other."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        for part in ("both", *NAMES):
            (root / part).mkdir()
        both, keys = stack.enter_context(served(root / "both", bundles, NAMES))
        alone = {name: stack.enter_context(served(root / name, bundles, [name])) for name in NAMES}
        own = {name: set(titles(name)) for name in NAMES}
        for request in requests:
            found = answer(both, keys[request.name], request)
            client, alone_keys = alone[request.name]
            if request.route in ("/readyz", "/openapi.json", "/docs"):
                assert not re.search("okapi|zebra", json.dumps(found[1]))
                continue
            assert found == answer(client, alone_keys[request.name], request)
            if request.route == "/v1/items":
                own[request.name].add(request.body["item_id"])
            elif isinstance(found[1], dict) and found[0] == 200 and "bundle" in found[1]:
                assert {item["item_id"] for item in found[1]["items"]} <= own[request.name]
        stack.close()
        for name in NAMES:
            assert logged(root / "both" / name) == logged(root / name / name)


def test_what_one_project_adds_and_deletes_the_other_does_not_see(tmp_path, bundles):
    with served(tmp_path, bundles, NAMES) as (client, keys):
        okapi, zebra = (bearer(keys[name]) for name in NAMES)
        assert client.post("/v1/items", json={"item_id": "shared", "title": "pear"}, headers=okapi).status_code == 200
        both = {"user_id": "fan", "candidates": ["okapi-0", "zebra-0", "shared"]}
        assert client.post("/v1/rank", json=both, headers=okapi).json()["unknown"] == ["zebra-0"]
        assert client.post("/v1/rank", json=both, headers=zebra).json()["unknown"] == ["okapi-0", "shared"]
        assert client.delete("/v1/items/okapi-0", headers=zebra).status_code == 404
        assert client.delete("/v1/items/okapi-0", headers=okapi).status_code == 200
        assert client.post("/v1/similar", json={"item_id": "zebra-1"}, headers=okapi).status_code == 404
        assert client.get("/readyz").json() == {"status": "ready"}
        assert "made" in client.get("/metrics", headers=okapi).text


def test_the_same_event_id_is_new_to_each_project(tmp_path, bundles):
    click = {"user_id": "fan", "item_id": "okapi-0", "event_type": "click", "event_id": "e"}
    with served(tmp_path, bundles, NAMES) as (client, keys):
        for name in NAMES:
            result = client.post("/v1/events", json=click, headers=bearer(keys[name])).json()["results"][0]
            assert result["status"] == "stored"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Callable[..., list[Service]]]:
    """Makes services with so many keys each."""
    with ExitStack() as stack:

        def make(*counts: int) -> list[Service]:
            made = []
            for name, count in zip(NAMES, counts, strict=False):
                file = KeysFile(tmp_path / name / "keys.json")
                file.path.parent.mkdir()
                for _ in range(count):
                    add_key(file)
                log = stack.enter_context(EventLog.open(tmp_path / name / "events.db"))
                config = msgspec.structs.replace(CONFIG, name=name)
                made.append(Service(log, config, FakeEngine(), keys=LiveKeys(file)))
            return made

        yield make


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_project_without_keys_is_for_its_own_machine(services, host):
    check_keys(services(0), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_a_project_without_keys_is_not_served_to_others(services, host, tmp_path):
    without = services(0)
    message = f"the project okapi has no keys, and others reach {host} as well; make one with `recsys keys create "
    with pytest.raises(NoKeysError, match=re.escape(f"{message}--config {tmp_path}/okapi/recsys.toml")):
        check_keys(without, host)


def test_a_project_with_keys_is_served_to_others(services):
    check_keys(services(1, 2), "0.0.0.0")


def test_several_projects_need_keys_each_even_for_their_own_machine(services):
    with pytest.raises(NoKeysError, match="the project zebra has no keys, and several projects are told apart"):
        check_keys(services(1, 0), "127.0.0.1")


def test_a_key_that_two_projects_have_is_refused_at_start_and_opens_neither_later(services, caplog):
    made = services(1, 1)
    okapi, zebra = (KeysFile(service.keys.path) for service in made)
    copied = add_key(okapi)
    zebra.change(lambda keys: [*keys, okapi.read()[-1]])
    made = [with_keys_of(service, KeysFile(service.keys.path)) for service in made]
    with pytest.raises(NoKeysError, match=f"the projects okapi and zebra both have the key {id_of(copied)}"):
        check_keys(made, "127.0.0.1")
    with TestClient(create_app(*made)) as client:
        for _ in range(2):
            assert client.get("/metrics", headers=bearer(copied)).status_code == 401
    assert caplog.text.count("is in the keys.json of several projects and opens none") == 1


def with_keys_of(service: Service, file: KeysFile) -> Service:
    """The same service with the keys as they are now."""
    return Service(service.event_log, service.config, service.engine, keys=LiveKeys(file))


def test_projects_in_one_folder_or_of_one_name_are_refused(tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
    okapi, zebra = (project_of(tmp_path / name, {"interactions": "i.csv"}) for name in NAMES)
    with pytest.raises(ConfigError, match="two projects lie in this folder"):
        check_apart([okapi, Workspace.open(tmp_path / "okapi" / "recsys.toml")])
    with pytest.raises(ConfigError, match=r"has the name 'test' of the one in .*/okapi; expected names that differ"):
        check_apart([okapi, zebra])
    other = zebra.root / "recsys.toml"
    other.write_text(other.read_text().replace('name = "test"', 'name = "zebra"'))
    check_apart([okapi, Workspace.open(other)])
