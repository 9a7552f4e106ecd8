"""Two machines, each with a folder of its own, and one store."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.bundle import champion_id, list_bundles, promote, publish
from recsys.champions import Champion, champions
from recsys.config import Bundles, Config, Experiment, Source, Variant
from recsys.errors import BundleError, StoreError
from recsys.forgetting.lineage import mark_path
from recsys.remote_shelf import NOBODY
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from tests.recsys.test_bundle import manifest, two_files


def config(store: Path | None, **said: object) -> Config:
    bundles = Bundles(url=None if store is None else f"file://{store}", keep=1)
    return Config(name="test", source=Source(), interaction_types={}, bundles=bundles, **said)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def trainer(tmp_path: Path, store: Path) -> Shelf:
    """It has the bundles a, b and c; a, then b was champion."""
    shelf = Shelf(Workspace(tmp_path / "trainer", config(store)))
    for name in "abc":
        publish(shelf.path, manifest(name), two_files)
    for name in "ab":
        shelf.promote(name)
    return shelf


@pytest.fixture
def server(tmp_path: Path, store: Path) -> Shelf:
    return Shelf(Workspace(tmp_path / "server", config(store)))


def names(shelf: Shelf) -> list[str]:
    return [path.name for path in list_bundles(shelf.path)]


def test_another_machine_gets_the_champion_alone_and_knows_the_one_before(trainer, server):
    server.follow()
    assert (champion_id(server.path), names(server)) == ("b", ["b"])
    assert [each.bundle_id for each in champions(server.path)] == ["b", "a"]


def test_a_rollback_on_one_machine_is_followed_by_the_other(trainer, server):
    known = server.follow()
    assert server.follow(known) is known
    assert server.rollback() == "a"
    assert (champion_id(server.path), names(server)) == ("a", ["a", "b"])
    trainer.follow()
    assert champion_id(trainer.path) == "a"
    with pytest.raises(BundleError, match="no champion is known from before a"):
        trainer.rollback()


def test_a_bundle_that_is_in_the_store_alone_is_brought_and_promoted(trainer, server):
    server.promote("a")
    assert names(server) == ["a"]
    trainer.follow()
    assert champion_id(trainer.path) == "a"
    with pytest.raises(BundleError, match="there is no bundle 'c'"):
        server.promote("c")


def test_what_a_check_refuses_is_neither_uploaded_nor_promoted(trainer):
    def refuse(_: object) -> None:
        raise BundleError("not of this version")

    for change in (lambda: trainer.promote("c", refuse), lambda: trainer.rollback(refuse)):
        with pytest.raises(BundleError, match="not of this version"):
            change()
    assert (champion_id(trainer.path), trainer.remote.promoted().champion) == ("b", "b")
    assert "c" not in trainer.remote.manifests()


def test_what_was_measured_against_another_champion_is_not_promoted(trainer, server):
    server.promote("a")
    with pytest.raises(BundleError, match="a was made champion meanwhile, c was to take the place of b"):
        trainer.promote("c", instead_of="b")
    trainer.promote("c", instead_of="a")
    assert trainer.remote.promoted().champion == "c"


def test_without_a_store_it_is_not_promoted_either(tmp_path):
    shelf = Shelf(Workspace(tmp_path, config(None)))
    for name in "ab":
        publish(shelf.path, manifest(name), two_files)
    shelf.promote("a")
    with pytest.raises(BundleError, match="a was made champion meanwhile"):
        shelf.promote("b", instead_of="c")
    assert (champion_id(shelf.path), shelf.follow()) == ("a", NOBODY)


def between(trainer: Shelf, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    """Another machine promotes between what the trainer reads and what it writes."""
    right = trainer.remote.commit

    def late(known, found):
        monkeypatch.undo()
        assert right(trainer.remote.promoted(), [Champion(other), *known.champions])
        return right(known, found)

    monkeypatch.setattr(trainer.remote, "commit", late)


def test_of_two_who_promote_at_once_the_later_is_champion_and_the_other_the_one_before(trainer, monkeypatch):
    between(trainer, monkeypatch, "a")
    trainer.promote("c")
    found = trainer.remote.promoted()
    assert [each.bundle_id for each in found.champions] == ["c", "a", "b", "a"]
    assert champion_id(trainer.path) == "c"


def test_a_rollback_does_not_undo_what_came_in_between(trainer, monkeypatch):
    trainer.remote.upload(trainer.path / "c")
    between(trainer, monkeypatch, "c")
    with pytest.raises(BundleError, match="c was made champion meanwhile"):
        trainer.rollback()
    assert trainer.remote.promoted().champion == "c"


def test_two_who_roll_back_at_once_go_back_once(trainer, monkeypatch):
    between(trainer, monkeypatch, "a")
    assert trainer.rollback() == "a"
    assert trainer.remote.promoted().number == 3


def test_a_process_that_is_behind_does_not_take_back_what_another_one_of_its_machine_has(trainer, server, monkeypatch):
    right = server.bring

    def slow(bundle_id: str) -> Path:
        monkeypatch.undo()
        trainer.promote("c")
        return right(bundle_id)

    monkeypatch.setattr(server, "bring", slow)
    assert server.follow().champion == "c"
    assert champion_id(server.path) == "c"


def test_a_store_that_does_not_answer_changes_nothing(trainer, store):
    store.rename(store.with_name("away"))
    for change in (lambda: trainer.promote("c"), trainer.rollback, trainer.follow):
        with pytest.raises(StoreError):
            change()
    assert champion_id(trainer.path) == "b"


def test_the_champion_of_a_project_that_gets_a_store_can_be_gone_back_to_on_every_machine(tmp_path, store, server):
    folder = tmp_path / "old" / "bundles"
    for name in "ab":
        publish(folder, manifest(name), two_files)
    promote(folder, "a")
    Shelf(Workspace(folder.parent, config(store))).promote("b")
    assert (server.rollback(), names(server)) == ("a", ["a"])


def test_the_oldest_go_here_and_in_the_store_but_not_what_an_experiment_names(trainer, tmp_path, store):
    publish(trainer.path, manifest("d"), two_files)
    for name in "cd":
        trainer.promote(name)
    tested = {"of a": Experiment(variants={"old": Variant(bundle="a", share=0.5), "new": Variant(share=0.5)})}
    shelf = Shelf(Workspace(trainer.path.parent, config(store, experiments=tested)))
    assert (shelf.prune(), names(shelf)) == (["b"], ["a", "c", "d"])
    assert sorted(shelf.remote.manifests()) == ["a", "c", "d"]
    assert (trainer.prune(), names(trainer)) == (["a"], ["c", "d"])


KILLED = """
import os, signal, sys
from pathlib import Path
from recsys.bundle import champion
from recsys.remote_shelf import RemoteShelf
from recsys.shelf import Shelf
from tests.recsys.test_shelf import config
from recsys.workspace import Workspace
import recsys.shelf

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(RemoteShelf if sys.argv[3] == "commit" else recsys.shelf, sys.argv[3], kill)
Shelf(Workspace(Path(sys.argv[1]), config(Path(sys.argv[2])))).promote("c")
"""


@pytest.mark.parametrize(("moment", "champion"), [("commit", "b"), ("set_champions", "c")])
def test_a_process_that_is_killed_leaves_the_old_champion_or_the_new_one_on_all_machines(
    trainer, server, store, moment, champion
):
    run = [sys.executable, "-c", KILLED, trainer.path.parent, store, moment]
    done = subprocess.run(run, capture_output=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert champion_id(trainer.path) == "b"
    for shelf in (trainer, server):
        shelf.follow()
    assert {champion_id(shelf.path) for shelf in (trainer, server)} == {champion}
    trainer.promote("c")
    assert trainer.remote.promoted().before == "b"


def test_bundles_that_learned_from_forgotten_users_are_deleted_here_and_in_the_store_but_the_champion(trainer):
    for name in "ab":
        mark_path(trainer.path, name).write_text('{"users": {"00": "2024-05-01T00:00:00Z"}}')
    assert trainer.prune_forgotten() == ["a"]
    assert names(trainer) == ["b", "c"]
    assert not mark_path(trainer.path, "a").exists()
    assert trainer.remote.promoted().champion == "b" == champion_id(trainer.path)
    assert trainer.remote.promoted().before is None
    assert "a" not in trainer.remote.manifests()
