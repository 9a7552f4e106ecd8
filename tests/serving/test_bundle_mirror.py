"""Servers that share an object store and nothing else follow each other's promotions, and serve on when it is away."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from recsys.bundle import champion_id, list_bundles, publish
from recsys.errors import BundleError
from recsys.remote_shelf import RemoteShelf
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from serving.bundle_mirror import BROKEN, UNREACHABLE, BundleMirror, load_brought, mirror_of
from tests.recsys.test_bundle import manifest, two_files
from tests.recsys.test_shelf import config
from tests.serving.test_server import RANK, TOML
from tests.serving.test_supervisor import serving, until


class Clock:
    """It stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def trainer(tmp_path: Path, store: Path) -> Shelf:
    """It has the bundles first, second and third; first is champion."""
    shelf = Shelf(Workspace(tmp_path / "trainer", config(store)))
    for name in ("first", "second", "third"):
        publish(shelf.path, manifest(name), two_files)
    shelf.promote("first")
    return shelf


@pytest.fixture
def server(tmp_path: Path, store: Path) -> Shelf:
    return Shelf(Workspace(tmp_path / "server", config(store)))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mirror(server: Shelf, clock: Clock) -> BundleMirror:
    return BundleMirror(server, poll_seconds=0.01, clock=clock)


def test_a_server_without_any_bundle_begins_with_the_champion_of_the_store(trainer, server, mirror):
    mirror.begin()
    assert (champion_id(server.path), mirror.problem) == ("first", None)


def test_what_is_promoted_or_gone_back_to_elsewhere_is_champion_here_and_the_oldest_copies_go(trainer, server, mirror):
    for name in ("second", "third"):
        mirror.look()
        trainer.promote(name)
    mirror.look()
    assert champion_id(server.path) == "third"
    # bundles.keep is 1: the newest, which is champion, and the one before.
    assert [path.name for path in list_bundles(server.path)] == ["second", "third"]
    trainer.rollback()
    mirror.look()
    assert champion_id(server.path) == "second"


def test_with_a_store_that_is_away_the_champion_of_here_serves_and_it_is_followed_once_it_is_back(
    trainer, server, mirror, store, caplog
):
    mirror.look()
    trainer.promote("second")
    store.rename(store.with_name("away"))
    for _ in range(3):
        mirror.look()
    assert (champion_id(server.path), mirror.problem) == ("first", UNREACHABLE)
    assert caplog.text.count("there is no folder") == 1
    store.with_name("away").rename(store)
    mirror.look()
    assert (champion_id(server.path), mirror.problem) == ("second", None)
    assert "followed again" in caplog.text


def test_a_server_begins_with_the_champion_of_here_when_the_store_is_away_or_slow(
    trainer, server, mirror, store, monkeypatch
):
    server.follow()
    trainer.promote("second")
    monkeypatch.setattr("serving.bundle_mirror.BEGIN_S", 0.05)
    slow, right = Event(), RemoteShelf.promoted
    monkeypatch.setattr(RemoteShelf, "promoted", lambda *arguments: slow.wait(30) and right(*arguments))
    mirror.begin()
    assert champion_id(server.path) == "first"
    slow.set()
    until(lambda: champion_id(server.path) == "second")
    store.rename(store.with_name("away"))
    mirror.begin()
    assert (champion_id(server.path), mirror.problem) == ("second", UNREACHABLE)


def test_a_champion_that_is_not_whole_leaves_the_old_one_and_is_brought_again_only_after_a_while(
    trainer, server, mirror, store, clock
):
    mirror.look()
    trainer.promote("second")
    broken = store / "bundles" / "second" / "ranker.txt"
    whole = broken.read_text()
    broken.write_text("tree!")
    mirror.look()
    assert (champion_id(server.path), mirror.problem) == ("first", BROKEN)
    broken.write_text(whole)
    mirror.look()
    assert mirror.problem == BROKEN
    clock.now = 61.0
    mirror.look()
    assert (champion_id(server.path), mirror.problem) == ("second", None)


def test_all_champions_are_listed_again_for_one_that_is_known_no_more(trainer, server, mirror, clock, store):
    mirror.look()
    trainer.promote("second")
    trainer.promote("third")
    # As a server finds them that was away while more were promoted than are kept.
    (store / "champions" / "0000000002.json").unlink()
    mirror.look()
    assert champion_id(server.path) == "first"
    clock.now = 61.0
    mirror.look()
    assert champion_id(server.path) == "third"


def test_it_looks_until_it_is_told_to_stop(trainer, server, mirror):
    stop = Event()
    watching = Thread(target=mirror.watch, args=[stop])
    watching.start()
    until(lambda: champion_id(server.path) == "first")
    stop.set()
    watching.join(10)
    assert not watching.is_alive()


def test_a_bundle_that_an_experiment_names_is_brought_before_it_is_loaded(trainer, server):
    trainer.upload("third")
    loaded = load_brought(server, lambda name: (server.path / name).exists() and name, "third")  # type: ignore[arg-type,return-value]
    assert loaded == "third"
    with pytest.raises(BundleError, match="there is no bundle 'none'"):
        load_brought(server, lambda name: None, "none")  # type: ignore[arg-type,return-value]


def test_a_project_without_a_store_follows_none(tmp_path):
    workspace = Workspace(tmp_path, config(None))
    assert mirror_of(workspace, Shelf(workspace)) is None


# As processes


@pytest.fixture
def addresses(tmp_path: Path, store: Path, trainer: Shelf) -> Iterator[list[str]]:
    """Of two running servers, each with a folder of its own."""
    with ExitStack() as running:
        found = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            settings = f"[features]\nrefresh_seconds = 0.1\n[bundles]\nurl = 'file://{store}'\npoll_seconds = 0.2"
            (tmp_path / name / "recsys.toml").write_text(f"{TOML}\n{settings}")
            found.append(address_of(running.enter_context(serving(tmp_path / name))))
        yield found


def address_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"recsys serves first \d+ on (http://127\.0\.0\.1:\d+),", line)
    assert found, line + (process.stderr.read() if process.stderr else "")
    return found[1]


def bundle_of(address: str) -> str:
    found = httpx.post(f"{address}/v1/rank", json=RANK, timeout=30)
    assert (found.status_code, found.json()["degraded"]) == (200, [])
    return found.json()["bundle"].split()[0]


def test_two_servers_follow_a_promotion_and_a_rollback_within_seconds_and_serve_on_without_the_store(
    addresses, trainer, store
):
    assert [bundle_of(address) for address in addresses] == ["first", "first"]
    for change, expected in ((lambda: trainer.promote("second"), "second"), (trainer.rollback, "first")):
        change()
        began = time.monotonic()
        until(lambda expected=expected: {bundle_of(address) for address in addresses} == {expected})
        # Loading takes half a second here. Much is allowed for a busy machine.
        assert time.monotonic() - began < 20
    store.rename(store.with_name("away"))
    until(lambda: all("store" in httpx.get(f"{address}/readyz").json() for address in addresses))
    assert "recsys_bundle_store_failing 1.0" in httpx.get(f"{addresses[0]}/metrics").text
    refused = httpx.post(f"{addresses[0]}/v1/bundles/third/promote", timeout=30)
    assert (refused.status_code, "there is no folder" in refused.json()["detail"]) == (503, True)
    assert [bundle_of(address) for address in addresses] == ["first", "first"]
    store.with_name("away").rename(store)
    until(lambda: not any("store" in httpx.get(f"{address}/readyz").json() for address in addresses))
