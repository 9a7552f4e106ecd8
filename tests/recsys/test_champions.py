"""A rollback finds the champion before, wherever a process died and whatever was put there by hand."""

from pathlib import Path

import msgspec
import pytest

from recsys import bundle
from recsys.bundle import Bundle, champion, champion_state, promote, publish, rollback
from recsys.champions import HISTORY, Champion, champions
from recsys.errors import BundleError
from tests.recsys.test_bundle import manifest, two_files


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """a, b and c were champions, in this order."""
    for name in ("a", "b", "c"):
        publish(tmp_path, manifest(name), two_files)
        promote(tmp_path, name)
    return tmp_path


def ids(folder: Path) -> list[str]:
    return [each.bundle_id for each in champions(folder)]


def test_each_rollback_goes_one_further_back(bundles):
    assert [rollback(bundles), champion(bundles).name] == ["b", "b"]
    assert [rollback(bundles), champion(bundles).name] == ["a", "a"]
    with pytest.raises(BundleError, match="no champion is known from before a"):
        rollback(bundles)
    assert champion(bundles).name == "a"


def test_a_promotion_after_a_rollback_goes_back_to_what_was_before_it(bundles):
    rollback(bundles)
    promote(bundles, "a")
    assert rollback(bundles) == "b"


def test_promoting_the_champion_again_changes_nothing(bundles):
    before = (bundles / HISTORY).read_bytes()
    promote(bundles, "c")
    assert (bundles / HISTORY).read_bytes() == before


def test_a_broken_bundle_is_not_gone_back_to_and_the_champion_stays(bundles):
    (bundles / "b" / "ranker.txt").write_text("tree!\n")
    with pytest.raises(BundleError, match=r"b/ranker\.txt: sha256 is"):
        rollback(bundles)
    assert (champion(bundles).name, ids(bundles)) == ("c", ["c", "b", "a"])


def test_what_a_check_refuses_is_neither_promoted_nor_gone_back_to(bundles):
    seen = []

    def refuse(found: Bundle) -> None:
        seen.append(found.manifest.bundle_id)
        raise BundleError("not of this version")

    with pytest.raises(BundleError, match="not of this version"):
        promote(bundles, "a", refuse)
    with pytest.raises(BundleError, match="not of this version"):
        rollback(bundles, refuse)
    assert (seen, champion(bundles).name, ids(bundles)) == (["a", "b"], "c", ["c", "b", "a"])


@pytest.mark.parametrize("died_at", [0, 1])
def test_a_promotion_that_died_in_the_middle_is_whole_or_did_not_happen(bundles, monkeypatch, died_at):
    with monkeypatch.context() as dying:
        dying.setattr(bundle, "put" if died_at == 0 else "note_champion", die)
        with pytest.raises(KeyboardInterrupt):
            promote(bundles, "a")
    now = champion(bundles).name
    assert now == ("c" if died_at == 0 else "a")
    assert rollback(bundles) == {"c": "b", "a": "c"}[now]


def test_a_rollback_that_died_in_the_middle_is_done_by_the_next_one(bundles, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(bundle, "put", die)
        with pytest.raises(KeyboardInterrupt):
            rollback(bundles)
    assert champion(bundles).name == "c"
    assert rollback(bundles) == "b"
    assert rollback(bundles) == "a"


def test_a_champion_that_was_put_there_by_hand_goes_back_to_the_one_it_replaced(bundles):
    (bundles / "champion").write_text("a\n")
    assert rollback(bundles) == "c"


def test_the_champion_of_an_earlier_version_is_remembered_when_another_takes_its_place(bundles):
    (bundles / HISTORY).unlink()
    promote(bundles, "b")
    assert champions(bundles)[1] == Champion("c", promoted_at=None)
    assert rollback(bundles) == "c"


def test_a_list_that_cannot_be_read_is_named_before_anything_changes(bundles):
    (bundles / HISTORY).write_text("{")
    for change in (lambda: promote(bundles, "a"), lambda: rollback(bundles)):
        with pytest.raises(BundleError, match=r"champions\.json: .*remove the file"):
            change()
    assert champion(bundles).name == "c"


def test_no_more_champions_are_kept_than_anybody_goes_back_to(bundles):
    many = [Champion(str(n)) for n in range(60)]
    (bundles / HISTORY).write_bytes(msgspec.json.encode(many))
    promote(bundles, "a")
    assert ids(bundles)[:3] == ["a", "c", "0"]
    assert len(ids(bundles)) == 50


def test_the_state_of_the_champion_is_another_one_when_a_file_of_it_changes(bundles):
    states = [champion_state(bundles), champion_state(bundles)]
    (bundles / "c" / "ranker.txt").write_text("tree!\n")
    states.append(champion_state(bundles))
    (bundles / "champion").write_text("gone\n")
    states.append(champion_state(bundles))
    (bundles / "champion").unlink()
    states.append(champion_state(bundles))
    assert states[0] == states[1]
    assert len(set(states)) == 4


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
