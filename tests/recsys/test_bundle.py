"""A bundle is whole or refused, and a process that dies while it publishes leaves the old champion."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from recsys import bundle
from recsys.bundle import Manifest, champion, list_bundles, open_bundle, promote, publish
from recsys.errors import BundleError


def manifest(bundle_id: str) -> Manifest:
    return Manifest(
        bundle_id=bundle_id,
        created_at=datetime(2011, 12, 9, tzinfo=UTC),
        dataset="online_retail",
        trained_from=datetime(2010, 12, 1, tzinfo=UTC),
        trained_until=None,
        versions={"lightgbm": "4.6.0"},
        features=["popularity_7d", "interest"],
        metrics={"test": {"ndcg@10": 0.25}},
        text={"fields": ["title"], "max_tokens": 32},
    )


def two_files(folder: Path) -> None:
    (folder / "ranker.txt").write_text("tree\n")
    (folder / "text").mkdir()
    (folder / "text" / "model.onnx").write_bytes(bytes(100))


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """A folder whose champion is `first`."""
    publish(tmp_path / "bundles", manifest("first"), two_files)
    promote(tmp_path / "bundles", "first")
    return tmp_path / "bundles"


def test_a_published_bundle_opens_with_the_manifest_it_was_given(bundles):
    opened = open_bundle(champion(bundles))
    assert opened.path == bundles / "first"
    assert opened.manifest.features == ["popularity_7d", "interest"]
    assert opened.manifest.metrics == {"test": {"ndcg@10": 0.25}}
    assert sorted(opened.manifest.files) == ["ranker.txt", "text/model.onnx"]


@pytest.mark.parametrize("name", ["ranker.txt", "text/model.onnx", "manifest.json", "manifest.sha256"])
@pytest.mark.parametrize("position", [0, -1])
def test_one_flipped_bit_in_any_file_is_refused_with_the_name_of_the_file(bundles, name, position):
    path = bundles / "first" / name
    content = bytearray(path.read_bytes().rstrip(b"\n"))
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=name):
        open_bundle(bundles / "first")


@pytest.mark.parametrize("name", ["ranker.txt", "text/model.onnx", "manifest.json", "manifest.sha256"])
def test_a_missing_file_is_named(bundles, name):
    (bundles / "first" / name).unlink()
    with pytest.raises(BundleError, match=f"first/{name}: the file is missing"):
        open_bundle(bundles / "first")


def test_a_file_that_the_manifest_does_not_list_is_named(bundles):
    (bundles / "first" / "text" / "notes.md").write_text("mine")
    with pytest.raises(BundleError, match=r"text/notes\.md: the manifest does not list this file"):
        open_bundle(bundles / "first")


def test_a_renamed_bundle_is_refused(bundles):
    (bundles / "first").rename(bundles / "other")
    with pytest.raises(BundleError, match="the manifest is that of first"):
        open_bundle(bundles / "other")


def test_a_manifest_of_another_format_says_which_format_is_read(bundles):
    publish(bundles, msgspec.structs.replace(manifest("later"), format_version=2), two_files)
    with pytest.raises(BundleError, match="format_version is 2, this recsys reads 1"):
        open_bundle(bundles / "later")


def test_a_broken_bundle_is_not_promoted_and_the_champion_stays(bundles):
    publish(bundles, manifest("second"), two_files)
    (bundles / "second" / "ranker.txt").write_text("tree!\n")
    with pytest.raises(BundleError, match=r"second/ranker\.txt: sha256 is"):
        promote(bundles, "second")
    assert champion(bundles) == bundles / "first"


def test_promotion_moves_the_champion_and_moves_it_back(bundles):
    publish(bundles, manifest("second"), two_files)
    promote(bundles, "second")
    assert champion(bundles) == bundles / "second"
    promote(bundles, "first")
    assert champion(bundles) == bundles / "first"
    assert list_bundles(bundles) == [bundles / "first", bundles / "second"]


def test_a_bundle_is_never_overwritten(bundles):
    with pytest.raises(BundleError, match="first: the bundle is there already"):
        publish(bundles, manifest("first"), two_files)


@pytest.mark.parametrize("bundle_id", ["", "../out", "a/b", ".hidden", "champion", "a\n"])
def test_an_id_that_is_not_a_plain_name_is_refused(tmp_path, bundle_id):
    with pytest.raises(BundleError, match="is no bundle id"):
        publish(tmp_path, manifest(bundle_id), two_files)


def test_a_build_that_fails_leaves_nothing_behind(bundles):
    def fail(folder: Path) -> None:
        two_files(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publish(bundles, manifest("second"), fail)
    with pytest.raises(BundleError, match="build wrote no file"):
        publish(bundles, manifest("second"), lambda folder: None)
    with pytest.raises(BundleError, match="a bundle holds plain files"):
        publish(bundles, manifest("second"), lambda folder: (folder / "link").symlink_to(bundles / "champion"))
    assert sorted(path.name for path in bundles.iterdir() if path.is_dir()) == ["first"]


def test_without_a_promotion_the_error_says_to_train(tmp_path):
    with pytest.raises(BundleError, match="no bundle was promoted yet; run `recsys train`"):
        champion(tmp_path)


def test_a_concurrent_publish_waits_and_does_not_remove_the_folder_of_a_live_one(bundles):
    building, release = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        building.set()
        assert release.wait(10)
        two_files(folder)

    threads = [threading.Thread(target=publish, args=(bundles, manifest("slow"), slow))]
    threads[0].start()
    assert building.wait(10)
    threads.append(threading.Thread(target=publish, args=(bundles, manifest("fast"), two_files)))
    threads[1].start()
    threads[1].join(0.2)
    assert (bundles / ".publishing-slow").is_dir()
    assert not (bundles / "fast").exists()
    release.set()
    for thread in threads:
        thread.join(10)
    assert [open_bundle(path).manifest.bundle_id for path in list_bundles(bundles)] == ["fast", "first", "slow"]


# The moment to die: a function of os or pathlib that publish or promote calls, and the path that it is called with.
DIES_BEFORE = {
    "the build ends": ("build", "second"),
    "a file is on the disk": ("fsync", "ranker.txt"),
    "the bundle is renamed": ("rename", ".publishing-second"),
    "the new name is on the disk": ("fsync", "bundles"),
    "the bundle is promoted": ("promote", "second"),
    "the pointer is on the disk": ("fsync", ".champion"),
    "the pointer is replaced": ("replace", ".champion"),
}

DYING = """
import os, pathlib, sys, time
from recsys import bundle
from tests.recsys.test_bundle import manifest, two_files

bundles, call, name = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def wait_to_be_killed(found_call, found_name):
    if (found_call, found_name) == (call, name):
        print("now", flush=True)
        time.sleep(60)

def watched(call, function):
    def watch(path, *rest):
        wait_to_be_killed(call, os.readlink(f"/proc/self/fd/{path}").split("/")[-1] if call == "fsync" else path.name)
        return function(path, *rest)
    return watch

os.fsync = watched("fsync", os.fsync)
pathlib.Path.rename = watched("rename", pathlib.Path.rename)
pathlib.Path.replace = watched("replace", pathlib.Path.replace)

def build(folder):
    two_files(folder)
    wait_to_be_killed("build", "second")

bundle.publish(bundles, manifest("second"), build)
wait_to_be_killed("promote", "second")
bundle.promote(bundles, "second")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="finds the path of a descriptor in /proc")
@pytest.mark.parametrize("moment", DIES_BEFORE)
def test_the_old_champion_opens_after_a_process_was_killed_before(moment, bundles):
    call, name = DIES_BEFORE[moment]
    command = [sys.executable, "-c", DYING, str(bundles), call, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert open_bundle(champion(bundles)).manifest.bundle_id == "first"

    publish(bundles, manifest("third"), two_files)
    promote(bundles, "third")
    assert open_bundle(champion(bundles)).manifest.bundle_id == "third"
    assert not list(bundles.glob(f"{bundle._UNFINISHED}*"))
    for path in list_bundles(bundles):
        open_bundle(path)
