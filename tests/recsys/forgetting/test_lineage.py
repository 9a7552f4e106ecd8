"""Which bundles were trained with a user, and what of the stages goes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recsys.bundle import promote, publish
from recsys.champions import champions
from recsys.errors import BundleError
from recsys.forgetting.key import UserKey
from recsys.forgetting.lineage import mark_bundles, mark_path, read_mark, trained_with, write_trained_users
from recsys.forgetting.stages import forget_stages, learned_from
from recsys.forgetting.who import Who
from recsys.pruning import prune, prune_forgotten
from tests.recsys.test_bundle import manifest, two_files

KEY = UserKey(bytes(32))
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def who(*users: str, at: datetime = NOON) -> Who:
    return Who(KEY, {KEY.hash(user): at for user in users})


def publish_of(bundles: Path, name: str, *users: str, noted: bool = True, until: datetime = NOON) -> None:
    """A bundle that was trained with these users, which an earlier version would not have noted."""

    def build(folder: Path) -> None:
        two_files(folder)
        if noted:
            write_trained_users(folder, KEY.shorts(users))

    publish(bundles, msgspec.structs.replace(manifest(name), trained_until=until), build)


def test_bundles_that_learned_from_the_user_are_marked_and_no_others(tmp_path):
    publish_of(tmp_path, "with", "ann", "bob", "cat")
    publish_of(tmp_path, "without", "bob")
    publish_of(tmp_path, "of-nobody")
    assert mark_bundles(tmp_path, who("ann"), first_seen=NOON - DAY) == ["with"]
    assert mark_bundles(tmp_path, who("ann"), first_seen=None) == ["with"]
    assert mark_bundles(tmp_path, who("bob", at=NOON + DAY), first_seen=None) == ["with", "without"]
    mark = read_mark(tmp_path, "with")
    assert mark is not None
    assert (len(mark.users), mark.latest) == (2, NOON + DAY)
    assert read_mark(tmp_path, "of-nobody") is None
    assert b"ann" not in mark_path(tmp_path, "with").read_bytes()


@pytest.mark.parametrize(("first_seen", "marked"), [(None, []), (NOON - DAY, ["old"]), (NOON, [])])
def test_a_bundle_that_does_not_say_whom_it_learned_from_is_marked_when_it_learned_from_that_time(
    tmp_path, first_seen, marked
):
    publish_of(tmp_path, "old", noted=False, until=NOON)
    assert mark_bundles(tmp_path, who("ann"), first_seen=first_seen) == marked


def test_only_the_whole_beginning_of_a_hash_is_a_user(tmp_path):
    shorts = KEY.shorts(f"user-{nth}" for nth in range(1000))
    write_trained_users(tmp_path, shorts)
    assert trained_with(tmp_path, who("user-999", "user-1000")) == [KEY.hash("user-999")]
    write_trained_users(tmp_path, shorts ^ np.uint64(1))
    assert trained_with(tmp_path, who("user-999")) == []


def test_a_mark_that_cannot_be_read_is_an_error(tmp_path):
    mark_path(tmp_path, "a").write_text("{")
    with pytest.raises(BundleError, match=r"a\.forgotten\.json: .*; remove the bundle"):
        read_mark(tmp_path, "a")


def test_marked_bundles_can_be_deleted_but_for_the_champion_and_a_rollback_goes_to_what_is_left(tmp_path):
    for name, user in (("first", "bob"), ("second", "ann"), ("third", "ann")):
        publish_of(tmp_path, name, user)
        promote(tmp_path, name)
    mark_bundles(tmp_path, who("ann"), first_seen=None)
    assert prune_forgotten(tmp_path) == ["second"]
    assert [each.bundle_id for each in champions(tmp_path)] == ["third", "first"]
    assert not mark_path(tmp_path, "second").exists()
    assert mark_path(tmp_path, "third").exists()
    assert prune_forgotten(tmp_path) == []
    promote(tmp_path, "first")
    assert prune(tmp_path, keep=1) == []
    assert prune_forgotten(tmp_path) == ["third"]


def test_the_results_of_all_stages_go_and_the_vectors_of_texts_stay(tmp_path):
    for name in ("text-1", "ranker-2", ".text-3.partial", ".deleting-evaluate-4"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "embeddings.db").write_text("x")
    write_trained_users(tmp_path / "text-1", KEY.shorts(["ann"]))
    assert (learned_from(tmp_path, who("ann")), learned_from(tmp_path, who("bob"))) == (True, False)
    assert forget_stages(tmp_path) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings.db"]
    assert (forget_stages(tmp_path / "none"), learned_from(tmp_path / "none", who("ann"))) == (0, False)
