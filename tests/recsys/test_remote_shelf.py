"""A bundle in a store is whole or not there, and of two who promote at once one is told."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from recsys.bundle import Manifest, list_bundles, open_bundle, publish
from recsys.champions import Champion
from recsys.errors import BundleError, StoreError
from recsys.object_store import ObjectStore
from recsys.remote_shelf import NOBODY, RemoteShelf
from tests.recsys.test_bundle import manifest, two_files


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    (tmp_path / "store").mkdir()
    return ObjectStore(f"memory://{uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/store")


@pytest.fixture
def shelf(store: ObjectStore) -> RemoteShelf:
    return RemoteShelf(store)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of the machine that makes bundles: one is there."""
    publish(tmp_path / "here", manifest("first"), two_files)
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The folder of another machine."""
    return tmp_path / "there"


def named(*names: str) -> list[Champion]:
    return [Champion(name) for name in names]


def counted(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, what: str) -> list[str]:
    """The names that a method of the store is asked for from now on."""
    right, asked = getattr(store, what), []

    def count(*arguments: object) -> object:
        asked.append(str(arguments[0]))
        return right(*arguments)

    monkeypatch.setattr(store, what, count)
    return asked


def test_what_was_uploaded_comes_whole_to_another_machine(shelf, here, there):
    shelf.upload(here / "first")
    (here / "first.decision.json").write_text('{"promoted": true}')
    shelf.upload_decision(here, "first")
    assert open_bundle(shelf.fetch("first", there)).manifest == open_bundle(here / "first").manifest
    assert (there / "first.decision.json").read_text() == '{"promoted": true}'
    assert sorted(path.name for path in there.iterdir() if path.is_dir()) == ["first"]


@pytest.mark.parametrize("uploaded", range(4))
def test_an_upload_that_was_cut_off_is_no_bundle_and_is_completed_by_the_next_one(
    shelf, store, here, there, uploaded, monkeypatch
):
    right, left = store.upload, iter(range(uploaded))

    def cut_off(path: Path, name: str) -> None:
        if next(left, None) is None:
            raise StoreError("cut off")
        right(path, name)

    with monkeypatch.context() as patch:
        patch.setattr(store, "upload", cut_off)
        with pytest.raises(StoreError, match="cut off"):
            shelf.upload(here / "first")
    assert (shelf.manifests(), shelf.manifest("first")) == ({}, None)
    with pytest.raises(BundleError, match="there is no bundle 'first'"):
        shelf.fetch("first", there)
    shelf.upload(here / "first")
    assert open_bundle(shelf.fetch("first", there)).path == there / "first"


def test_what_is_there_is_not_uploaded_again_and_another_bundle_of_the_name_is_refused(
    shelf, store, here, tmp_path, monkeypatch
):
    shelf.upload(here / "first")
    asked = counted(store, monkeypatch, "upload")
    shelf.upload(here / "first")
    publish(tmp_path / "other", msgspec.structs.replace(manifest("first"), dataset="other"), two_files)
    with pytest.raises(BundleError, match="has another bundle of this name"):
        shelf.upload(tmp_path / "other" / "first")
    assert asked == []


@pytest.mark.parametrize("name", ["ranker.txt", "text/model.onnx", "manifest.json"])
def test_one_changed_byte_in_the_store_is_found_and_nothing_stands_in_the_place_of_the_bundle(
    shelf, store, here, there, tmp_path, name
):
    shelf.upload(here / "first")
    (tmp_path / "changed").write_bytes(b"!" + (here / "first" / name).read_bytes()[1:])
    store.upload(tmp_path / "changed", f"bundles/first/{name}")
    with pytest.raises(BundleError, match=rf"bundles/first/{name}: sha256 is"):
        shelf.fetch("first", there)
    assert list_bundles(there) == []
    store.upload(here / "first" / name, f"bundles/first/{name}")
    assert open_bundle(shelf.fetch("first", there)).path == there / "first"


def test_a_download_that_was_cut_off_goes_on_with_what_it_has(shelf, store, here, there, monkeypatch):
    shelf.upload(here / "first")
    half = there / ".fetching-first"
    (half / "text").mkdir(parents=True)
    (half / "text" / "model.onnx").write_bytes(bytes(100))
    (half / "ranker.txt").write_text("half of a tr")
    (half / "of another version").touch()
    (there / ".fetching-older").mkdir()
    asked = counted(store, monkeypatch, "download")
    assert open_bundle(shelf.fetch("first", there)).path == there / "first"
    assert asked == ["bundles/first/ranker.txt"]
    assert not list(there.glob(".fetching-*"))


def test_a_manifest_that_names_a_file_elsewhere_is_refused(shelf, store, here, there, tmp_path):
    files = {"../../outside": "0" * 64}
    document = msgspec.json.encode(msgspec.structs.replace(manifest("evil"), files=files))
    (tmp_path / "manifest").write_bytes(document)
    (tmp_path / "sealed").write_text(sha256(document).hexdigest() + "\n")
    store.upload(tmp_path / "manifest", "bundles/evil/manifest.json")
    store.upload(tmp_path / "sealed", "bundles/evil/manifest.sha256")
    with pytest.raises(BundleError, match="a file of a bundle lies in its folder"):
        shelf.fetch("evil", there)
    with pytest.raises(BundleError, match="is no bundle id"):
        shelf.fetch("../evil", there)


def test_of_two_who_promote_at_once_the_second_is_told(shelf):
    known = shelf.promoted()
    assert known == NOBODY
    assert shelf.commit(known, named("a"))
    assert not shelf.commit(known, named("b"))
    assert shelf.promoted().champion == "a"
    assert shelf.commit(shelf.promoted(), named("b", "a"))
    found = shelf.promoted()
    assert (found.number, found.champion, found.before) == (2, "b", "a")


def test_asking_again_costs_one_read_and_finds_all_that_came_since(shelf, store, monkeypatch):
    shelf.commit(NOBODY, named("a"))
    known = shelf.promoted()
    reads, lists = counted(store, monkeypatch, "read"), counted(store, monkeypatch, "names")
    assert shelf.promoted(known) == known
    assert (reads, lists) == (["champions/0000000002.json"], [])
    shelf.commit(known, named("b", "a"))
    shelf.commit(shelf.promoted(known), named("c", "b", "a"))
    assert shelf.promoted(known).champion == "c"


def test_a_list_of_champions_that_cannot_be_read_is_named(shelf, store):
    store.create("champions/0000000001.json", b"{")
    with pytest.raises(BundleError, match=r"champions/0000000001\.json: .*delete the object"):
        shelf.promoted()


def made_on(day: int) -> Callable[[str], Manifest]:
    return lambda name: msgspec.structs.replace(manifest(name), created_at=datetime(2012, 1, day, tzinfo=UTC))


@pytest.fixture
def five(shelf: RemoteShelf, tmp_path: Path) -> RemoteShelf:
    """Made in the order of the alphabet; b is champion, a was before."""
    for at, name in enumerate("abcde"):
        shelf.upload(publish(tmp_path / "five", made_on(at + 1)(name), two_files))
    shelf.commit(shelf.promoted(), named("b", "a"))
    return shelf


def test_the_newest_the_champion_the_one_before_and_those_needed_stay(five):
    assert five.prune(keep=1, needed={"c"}) == ["d"]
    assert sorted(five.manifests()) == ["a", "b", "c", "e"]
    assert five.prune(keep=1, needed=()) == ["c"]


def test_a_bundle_that_cannot_be_read_is_listed_as_such_and_stays(five, store, tmp_path):
    (tmp_path / "broken").write_text("{")
    store.upload(tmp_path / "broken", "bundles/d/manifest.json")
    assert five.manifests()["d"] is None
    assert five.prune(keep=1, needed=()) == ["c"]


def test_what_was_not_uploaded_to_its_end_goes_after_a_day(tmp_path):
    (tmp_path / "store").mkdir()
    store = ObjectStore(f"file://{tmp_path}/store")
    (tmp_path / "half").touch()
    for name in ("old", "young"):
        store.upload(tmp_path / "half", f"bundles/{name}/ranker.txt")
    yesterday = time.time() - 25 * 3600
    os.utime(tmp_path / "store" / "bundles" / "old" / "ranker.txt", (yesterday, yesterday))
    assert RemoteShelf(store).prune(keep=1, needed=()) == []
    assert store.names("bundles") == ["young"]


def test_old_lists_of_champions_go_and_the_number_goes_on(shelf, store, monkeypatch):
    monkeypatch.setattr("recsys.remote_shelf.KEPT_CHAMPIONS", 2)
    for name in "abc":
        shelf.commit(shelf.promoted(), named(name))
    shelf.prune(keep=1, needed=())
    assert store.names("champions") == ["0000000002.json", "0000000003.json"]
    assert shelf.promoted().number == 3
