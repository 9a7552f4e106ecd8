from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from recsys.errors import ConfigError, StoreError
from recsys.object_store import ObjectStore


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return ObjectStore(f"memory://{uuid4().hex}")
    (tmp_path / "store").mkdir()
    return ObjectStore(f"file://{tmp_path}/store")


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("red green")
    return tmp_path / "words.txt"


def test_a_file_comes_back_as_it_was_and_a_second_one_takes_its_place(store, words, tmp_path):
    store.upload(words, "a/b/words.txt")
    store.download("a/b/words.txt", tmp_path / "back.txt")
    assert (store.read("a/b/words.txt"), (tmp_path / "back.txt").read_text()) == (b"red green", "red green")
    words.write_text("blue")
    store.upload(words, "a/b/words.txt")
    assert store.read("a/b/words.txt") == b"blue"


def test_what_is_not_there_is_read_as_nothing_and_cannot_be_downloaded(store, tmp_path):
    assert (store.read("a/none"), store.names("a"), store.changed_at("a")) == (None, [], None)
    store.delete("a")
    with pytest.raises(StoreError, match=r"/a/none: FileNotFoundError"):
        store.download("a/none", tmp_path / "back.txt")


def test_an_object_is_created_once(store):
    assert [store.create("a/one", content) for content in (b"first", b"second")] == [True, False]
    assert store.read("a/one") == b"first"


def test_of_many_that_create_an_object_in_a_folder_at_once_one_does(tmp_path):
    store, contents = ObjectStore(f"file://{tmp_path}"), [bytes([at]) * 1000 for at in range(16)]
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda content: store.create("a/one", content), contents))
    assert made.count(True) == 1
    assert store.read("a/one") == contents[made.index(True)]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["one"]


def test_the_names_of_a_folder_are_those_directly_in_it(store, words):
    for name in ("a/two", "a/one/deeper", "b"):
        store.upload(words, name)
    assert store.names("a") == ["one", "two"]


def test_a_folder_is_deleted_with_all_that_is_in_it(store, words):
    for name in ("a/one", "a/two/deeper", "b"):
        store.upload(words, name)
    store.delete("a")
    assert (store.names("a"), store.read("b")) == ([], b"red green")


def test_a_folder_is_as_new_as_its_newest_object(store, words):
    store.upload(words, "a/one/deeper")
    assert abs(datetime.now(UTC) - store.changed_at("a")) < timedelta(minutes=1)


def test_a_folder_that_is_not_mounted_is_no_empty_store(tmp_path):
    store = ObjectStore(f"file://{tmp_path}/not_mounted")
    for ask in (lambda: store.read("a"), lambda: store.names("a"), lambda: store.create("a", b"")):
        with pytest.raises(StoreError, match=r"there is no folder .*/not_mounted; make it once, or mount it"):
            ask()


def test_a_url_of_no_store_is_a_mistake_in_the_configuration():
    with pytest.raises(ConfigError, match=r"\[bundles\] url = 'nope://a': .*expected s3://"):
        ObjectStore("nope://a")


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="it is installed here")
def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(ConfigError, match=r"s3fs.*; install recsys\[s3\]"):
        ObjectStore("s3://bucket/folder")
