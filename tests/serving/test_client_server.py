"""The client against the real server: `recsys serve` as a process, with keys."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.client import Event, ProblemError, RecsysClient, UnreachableError
from serving.keys_file import KeysFile
from tests.serving.keyed import add_key
from tests.serving.test_key_server import address_in, first_line, project, serving


@contextmanager
def server(folder: Path, *scopes: str) -> Iterator[RecsysClient]:
    config = project(folder, "shop")
    key = add_key(KeysFile(config.parent / "keys.json"), *scopes)  # type: ignore[arg-type]
    with serving([config]) as process, RecsysClient(address_in(first_line(process)), key=key) as client:
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecsysClient]:
    with server(tmp_path_factory.mktemp("served")) as client:
        yield client


def test_rank_and_recommend(client: RecsysClient):
    ranked = client.rank("u", ["b", "no-such-item", "a"], limit=1, explain=True)
    assert (ranked.item_ids, ranked.unknown, ranked.bundle, ranked.degraded) == (["a"], ("no-such-item",), "fake-1", ())
    assert [reason.contribution for reason in ranked.items[0].reasons] == [0.5, 0.5]
    found = client.recommend("u", limit=2, exclude=["b"], exclude_seen=True)
    assert (found.item_ids, found.items[1].rank) == (["c", "d"], 2)


def test_similar_and_trending_and_explain(client: RecsysClient):
    assert client.similar("a", limit=2).item_ids == ["b", "c"]
    with pytest.raises(ProblemError, match="404") as raised:
        client.similar("no such item/at all")
    assert raised.value.problem.path == "$.item_id"
    assert client.trending(limit=2).item_ids == ["a", "b"]
    assert client.explain("u", ["b"]).items[0].rank == 2


def test_events_are_stored_once_and_bad_ones_say_why(client: RecsysClient):
    event = Event("u", "a", "click", timestamp=datetime(2024, 5, 1, tzinfo=UTC), value=2.0)
    assert [result.status for result in client.send_events([event, event])] == ["stored", "duplicate"]
    assert client.send_events([event])[0].event_id == event.event_id
    good, bad = client.send_events([Event("u", "b", "click"), Event("u", "b", "no-such-type")])
    assert (good.status, bad.status, bad.path) == ("stored", "refused", "$.events[1].event_type")
    (bad,) = client.send_events([Event("u", "b", "no-such-type")])
    assert bad.status == "refused"
    assert [result.status for result in client.send_events([Event("u", "a", "click")] * 2002)].count("stored") == 1


def test_items_and_users_come_and_go(client: RecsysClient):
    new = {"item_id": "z/é 1", "title": "Z", "published_at": datetime(2024, 5, 1, tzinfo=UTC), "colour": "red"}
    (stored,) = client.upsert_items([new])
    assert (stored.status, stored.item_id) == ("stored", "z/é 1")
    assert client.rank("u", ["z/é 1"]).item_ids == ["z/é 1"]
    assert client.delete_item("z/é 1").status == "deleted"
    assert client.rank("u", ["z/é 1"]).unknown == ("z/é 1",)
    assert client.upsert_users([{"user_id": "u/1", "country": "France"}])[0].status == "stored"
    assert client.delete_user("u/1").user_id == "u/1"
    assert client.forget_user("u/1").removed["users"] == 2


def test_pages_and_deadlines_and_filters(client: RecsysClient):
    first = client.recommend("u", limit=2, deadline_ms=500)
    assert client.recommend("u", limit=2, page=first.next_page).item_ids == ["c", "d"]
    assert client.similar("a", limit=1, offset=1).item_ids == ["c"]


def test_a_bad_field_is_named(client: RecsysClient):
    with pytest.raises(ProblemError) as raised:
        client.rank("u", [])
    assert (raised.value.status, raised.value.problem.path) == (400, "$.candidates")
    with pytest.raises(ProblemError, match="the limit is 2001; expected at most 2000") as raised:
        client.recommend("u", limit=2001)
    assert (raised.value.status, raised.value.problem.path) == (422, "$.limit")


def test_threads_share_a_client(client: RecsysClient):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda item: client.rank("u", [item]).item_ids, "abcdef" * 20))
    assert answers == [[item] for item in "abcdef" * 20]


def test_a_key_without_the_scope_and_no_key_at_all(tmp_path: Path):
    with server(tmp_path, "ingest") as client:
        with pytest.raises(ProblemError, match="needs rank"):
            client.rank("u", ["a"])
        with RecsysClient(client._transport.address) as nobody, pytest.raises(ProblemError, match="401"):
            nobody.rank("u", ["a"])
        assert client.ready()


def test_events_sent_while_the_server_starts_anew_are_stored_once(tmp_path: Path):
    config = project(tmp_path, "shop")
    key = add_key(KeysFile(config.parent / "keys.json"))
    with serving([config]) as process:
        address = address_in(first_line(process))
        client = RecsysClient(address, key=key, timeout_s=30)
        events = [Event("u", "a", "click") for _ in range(200)]
        stop, lost = threading.Event(), []

        def send() -> None:
            for event in events:
                for _ in range(100):
                    try:
                        client.send_events([event])
                        break
                    except (ProblemError, UnreachableError):
                        stop.wait(0.1)
                else:
                    lost.append(event)

        sender = threading.Thread(target=send)
        sender.start()
        stop.wait(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        with serving([config], "--port", address.rpartition(":")[2]) as again:
            first_line(again)
            sender.join(timeout=60)
            statuses = [result.status for result in client.send_events(events)]
        client.close()
    assert (lost, statuses) == ([], ["duplicate"] * 200)
