import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from feast.feature_view import FeatureViewState

from features.cooccurrence import cooccurrence
from features.regression import regression
from features.store import BehaviourStore
from features.successors import successors
from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError
from recsys.exposure import Exposure
from recsys.state import Affinity, ItemState, Neighbours, Recent, UserState
from tests.features.assembled import assemble
from tests.features.log import FEATURES, MICROSECOND, WEIGHTS, catalogue_of, day, log, seconds, shown
from tests.features.whole_log import item_behaviour

EARLY, MIDDLE = day(10), day(20)
# The next moment after it: nothing of it may be taken for MIDDLE.
LATE = MIDDLE + MICROSECOND
INTERACTIONS = log(
    ("ann", "c", 1, 2.0),
    ("ann", "a", 2, 1.1),
    ("bob", "a", 2, 3.3),
    ("ann", "b", 12.34567, 0.7, 0.2, "view"),
    ("ann", "a", 12.34567, None),
    ("bob", "b", 13, 1e-3),
    ("cat", "?", 14, 5.0),
    ("dan", "d", MIDDLE, 4.0),
)
INTERACTIONS = INTERACTIONS.with_columns(
    request_id=pl.when(pl.col("item_id") == "b").then(pl.lit("one"))  # ann's view and bob's purchase
)
IMPRESSIONS = shown(("one", 12, "ba"), ("two", 13.5, "b?"), ("three", MIDDLE, "d"))
CATALOGUE = catalogue_of("abcdefgh")
USERS = ["ann", "bob", "cat", "dan", "nobody"]


def bits(state: UserState | ItemState) -> list:
    """All that a state holds, to the bit."""
    values = [getattr(state, field.name) for field in fields(state)]
    arrays = [part for value in values for part in _arrays(value)]
    return [(part.dtype, part.shape, part.tobytes()) for part in arrays]


def _arrays(value) -> list[np.ndarray]:
    if isinstance(value, Exposure):
        return [np.array(value.columns), value.counts, value.totals]
    if isinstance(value, Recent | Affinity):
        return [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, Neighbours):
        return [part for matrix in value for part in (matrix.data, matrix.indices, matrix.indptr)]
    if isinstance(value, Mapping):
        return [np.asarray(part) for name, counts in sorted(value.items()) for part in (name, *counts)]
    return [np.asarray(value)]


def filled(folder: Path, *moments, interactions: pl.DataFrame = INTERACTIONS) -> BehaviourStore:
    """A store with the snapshots of the moments, of which the first is online."""
    store = BehaviourStore(folder, FEATURES, WEIGHTS)
    store.snapshot(interactions, CATALOGUE, moments, impressions=IMPRESSIONS)
    store.materialise(moments[0])
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BehaviourStore:
    return filled(tmp_path_factory.mktemp("store"), MIDDLE, LATE, EARLY)


def items_of(user: UserState) -> list[str]:
    return [CATALOGUE.item_ids[item] for item in user.history]


def dense(neighbours: Neighbours) -> list[list[list[float]]]:
    return [matrix.toarray().tolist() for matrix in neighbours]


# Both stores tell the same


def test_the_items_of_both_stores_are_equal_to_the_bit(store):
    offline, online = store.items_at(CATALOGUE, MIDDLE), store.online_items(CATALOGUE)
    assert offline.columns == online.columns == FEATURES.item_columns
    assert bits(offline) == bits(online)
    assert np.isnan(online.behaviour[CATALOGUE.index["h"]]).all()
    assert all(matrix.nnz > 0 for matrix in offline.neighbours)


@pytest.mark.parametrize("user", USERS)
def test_a_user_of_both_stores_is_equal_to_the_bit(store, user):
    (offline,) = store.users_at([user], CATALOGUE, MIDDLE)
    assert bits(offline) == bits(store.online_user(user, CATALOGUE))


@pytest.mark.parametrize("user", USERS)
def test_the_features_of_both_stores_are_equal_to_the_bit(store, user):
    candidates = np.arange(len(CATALOGUE))
    (known,) = store.users_at([user], CATALOGUE, MIDDLE)
    offline = assemble(FEATURES, known, store.items_at(CATALOGUE, MIDDLE), candidates, None)
    online = assemble(FEATURES, store.online_user(user, CATALOGUE), store.online_items(CATALOGUE), candidates, None)
    assert offline.tobytes() == online.tobytes()


def test_both_stores_tell_the_same_of_many_odd_numbers(tmp_path):
    random = np.random.default_rng(0)
    rows = [
        (f"user-{random.integers(9)}", random.choice(list("abcdefg")), day(random.uniform(0, 20)), random.lognormal())
        for _ in range(150)
    ]
    store = filled(tmp_path, MIDDLE, interactions=log(*rows))
    users = [f"user-{at}" for at in range(9)]
    assert [bits(user) for user in store.users_at(users, CATALOGUE, MIDDLE)] == [
        bits(store.online_user(user, CATALOGUE)) for user in users
    ]
    assert bits(store.items_at(CATALOGUE, MIDDLE)) == bits(store.online_items(CATALOGUE))


def test_items_are_read_in_parts_without_a_seam(store, monkeypatch):
    whole = bits(store.online_items(CATALOGUE))
    monkeypatch.setattr("features.online_behaviour.ITEMS_AT_ONCE", 3)
    assert bits(store.online_items(CATALOGUE)) == whole


# Point in time


@pytest.mark.parametrize("as_of", [EARLY, MIDDLE, LATE], ids=["early", "middle", "late"])
def test_the_join_takes_the_snapshot_of_the_moment(store, as_of):
    found = store.items_at(CATALOGUE, as_of)
    expected = item_behaviour(INTERACTIONS, as_of, FEATURES).filter(pl.col("item_id") != "?")
    known = [CATALOGUE.index[item] for item in expected["item_id"]]
    np.testing.assert_array_equal(found.behaviour[known], expected.select(FEATURES.item_columns).to_numpy())
    assert np.isnan(np.delete(found.behaviour, known, axis=0)).all()
    assert found.now == as_of.timestamp()
    expected = Neighbours(*(of(INTERACTIONS, CATALOGUE, as_of) for of in (cooccurrence, regression, successors)))
    assert dense(found.neighbours) == dense(expected)


def test_a_user_is_known_as_at_the_moment(store):
    histories = {
        name: [items_of(user) for user in store.users_at(["ann", "dan"], CATALOGUE, as_of)]
        for name, as_of in (("early", EARLY), ("middle", MIDDLE), ("late", LATE))
    }
    assert histories == {"early": [["a", "c"], []], "middle": [["a", "b", "c"], []], "late": [["a", "b", "c"], ["d"]]}


def test_the_state_of_a_user_is_what_the_log_says(store):
    (ann,) = store.users_at(["ann"], CATALOGUE, MIDDLE)
    assert ann.occasions.tolist() == [2, 1, 1]
    assert ann.first_at.tolist() == [seconds(2), seconds(12.34567), seconds(1)]
    assert ann.last_at.tolist() == [seconds(12.34567), seconds(12.34567), seconds(1)]
    assert ann.in_last_occasion.tolist() == [True, True, False]
    assert ann.types.tolist() == ["purchase", "view", "purchase"]


def test_users_come_in_the_order_given_and_as_often(store):
    ids = ["nobody", "cat", "ann", "bob", "ann", "dan", "stranger", "ann"] * 5
    found = store.users_at(ids, CATALOGUE, LATE)
    alone = {user: store.users_at([user], CATALOGUE, LATE)[0] for user in set(ids)}
    assert [bits(user) for user in found] == [bits(alone[user]) for user in ids]


def test_an_item_that_left_the_catalogue_is_in_no_history(store):
    (cat,) = store.users_at(["cat"], CATALOGUE, MIDDLE)
    assert items_of(cat) == []
    assert not np.isnan(cat.behaviour[:3]).any()


def test_a_moment_without_a_snapshot_is_refused(store):
    with pytest.raises(FeatureStoreError, match=r"2024-01-16T.*npz: no such snapshot .* run `recsys train`"):
        store.items_at(CATALOGUE, day(15))


def test_how_often_an_item_was_shown_is_known_as_at_the_moment(store):
    counts = {
        name: store.items_at(CATALOGUE, as_of).exposure.column("shown_28d").tolist()
        for name, as_of in (("early", EARLY), ("middle", MIDDLE), ("late", LATE))
    }
    assert counts == {
        "early": [0] * 8,
        "middle": [1, 2, 0, 0, 0, 0, 0, 0],
        "late": [1, 2, 0, 1, 0, 0, 0, 0],
    }
    assert store.items_at(CATALOGUE, LATE).exposure.total("shown_28d") == 4
    assert store.items_at(CATALOGUE, LATE).exposure.column("chosen_view_28d").tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


def test_where_nothing_was_logged_as_shown_every_count_is_nought(tmp_path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [MIDDLE])
    store.materialise(MIDDLE)
    for items in (store.items_at(CATALOGUE, MIDDLE), store.online_items(CATALOGUE)):
        assert (items.exposure.counts.shape, items.exposure.counts.any()) == ((8, 4), False)


# Items that come and go


def test_neighbours_follow_their_items_when_the_catalogue_changes(store):
    # b goes, 0 and z come: of ann's a, b and c and of bob's a and b only a with c is left.
    before, after = catalogue_of("abc"), catalogue_of("0acz")
    known = store.items_at(before, MIDDLE).neighbours.users.toarray()
    found = store.items_at(after, MIDDLE).neighbours.users.toarray()
    assert np.count_nonzero(known) == 6
    assert np.argwhere(found).tolist() == [[1, 2], [2, 1]]
    assert found[1, 2] == known[0, 2]


@pytest.mark.parametrize("rows", [[], [("ann", "a", 1)]], ids=["no interaction", "a single one"])
def test_items_that_go_with_no_other_have_no_neighbours(tmp_path, rows):
    store = filled(tmp_path, MIDDLE, interactions=log(*rows))
    for items in (store.items_at(CATALOGUE, MIDDLE), store.online_items(CATALOGUE)):
        assert [matrix.shape for matrix in items.neighbours] == [(len(CATALOGUE), len(CATALOGUE))] * 3
        assert [matrix.nnz for matrix in items.neighbours] == [0, 0, 0]
        assert np.isnan(items.behaviour[1:]).all()


# Snapshots


def test_a_snapshot_that_is_there_is_not_computed_again(tmp_path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    assert store.snapshot(INTERACTIONS, CATALOGUE, [EARLY, MIDDLE]) == 2
    written = {path: path.stat().st_ino for path in tmp_path.rglob("*.*")}
    assert len([*tmp_path.glob("*/*.parquet"), *tmp_path.glob("*/*.npz")]) == 2 * 6
    assert store.snapshot(log(("eve", "a", 1)), CATALOGUE, [EARLY, MIDDLE]) == 0
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*.*")} == written
    assert store.snapshot(INTERACTIONS, CATALOGUE, [EARLY, LATE]) == 1


def test_a_snapshot_that_was_not_finished_is_computed_again(tmp_path, monkeypatch):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    with monkeypatch.context() as broken:
        broken.setattr("features.snapshots.regression", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.snapshot(log(("eve", "a", 1)), CATALOGUE, [MIDDLE])
    assert store.snapshot(INTERACTIONS, CATALOGUE, [MIDDLE]) == 1
    assert items_of(store.users_at(["ann"], CATALOGUE, MIDDLE)[0]) == ["a", "b", "c"]


def test_other_data_makes_the_snapshots_forgotten_and_the_same_data_does_not(tmp_path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    known = store.forget_other_data(INTERACTIONS, CATALOGUE, [EARLY])
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY])
    assert store.forget_other_data(INTERACTIONS, CATALOGUE, [EARLY]) == known
    assert store.snapshot(INTERACTIONS, CATALOGUE, [EARLY]) == 0
    store.forget_other_data(log(("eve", "a", 1)), CATALOGUE, [EARLY])
    assert not [*tmp_path.glob("*/*.parquet"), *tmp_path.glob("*/*.npz")]
    assert store.snapshot(log(("eve", "a", 1)), CATALOGUE, [EARLY]) == 1
    assert [items_of(user) for user in store.users_at(["ann", "eve"], CATALOGUE, EARLY)] == [[], ["a"]]


def later_log(*rows: tuple) -> pl.DataFrame:
    return pl.concat([INTERACTIONS, log(*rows)], how="diagonal").sort("timestamp")


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"interactions": later_log(("eve", "a", 20.5), ("eve", "new", 21))}, [EARLY, MIDDLE]),
        ({"interactions": later_log(("eve", "e", 13.25))}, [EARLY]),
        ({"catalogue": catalogue_of("abcdefghijk")}, [EARLY, MIDDLE]),
        ({"catalogue": catalogue_of("abcdefgh?")}, [EARLY]),
        ({"catalogue": Catalogue.load(CATALOGUE.table.with_columns(category=pl.lit("tin")))}, []),
        ({"impressions": pl.concat([IMPRESSIONS, shown(("four", 20.5, "d"))])}, [EARLY, MIDDLE]),
        ({"impressions": shown(("one", 12, "ba"), ("two", 13.5, "b"))}, [EARLY]),
        ({"settings": "other"}, []),
    ],
)
def test_what_came_after_a_moment_leaves_its_snapshot_and_what_came_late_does_not(tmp_path, changed, left):
    tables = {"interactions": INTERACTIONS, "catalogue": CATALOGUE, "impressions": IMPRESSIONS}
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.forget_other_data(**tables, moments=[EARLY, MIDDLE])
    store.snapshot(**tables, moments=[EARLY, MIDDLE])
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.forget_other_data(**tables | changed, moments=[EARLY, MIDDLE])
    assert sorted({path.name[:10] for path in tmp_path.glob("item_behaviour/*")}) == [f"{at:%Y-%m-%d}" for at in left]
    now = {name: value for name, value in (tables | changed).items() if name != "settings"}
    assert store.snapshot(**now, moments=[EARLY, MIDDLE]) == 2 - len(left)
    fresh = BehaviourStore(tmp_path / "fresh", FEATURES, WEIGHTS)
    fresh.snapshot(**now, moments=[EARLY, MIDDLE])
    for moment in (EARLY, MIDDLE):
        assert bits(store.items_at(now["catalogue"], moment)) == bits(fresh.items_at(now["catalogue"], moment))
        found, expected = (one.users_at([*USERS, "eve"], now["catalogue"], moment) for one in (store, fresh))
        assert [*map(bits, found)] == [*map(bits, expected)]


def test_a_snapshot_knows_nothing_that_only_an_earlier_one_does(tmp_path):
    # Of an item that was not shown in the weeks before it has no row.
    store = filled(tmp_path, MIDDLE, day(60))
    fresh = filled(tmp_path / "fresh", day(60))
    assert store.items_at(CATALOGUE, MIDDLE).exposure.counts.any()
    assert not store.items_at(CATALOGUE, day(60)).exposure.counts.any()
    assert bits(store.items_at(CATALOGUE, day(60))) == bits(fresh.items_at(CATALOGUE, day(60)))


def test_of_snapshots_that_nobody_asks_for_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr("features.snapshots.KEPT", 3)
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    for moments, computed in (([day(3), day(4), day(5)], 3), ([day(3)], 0), ([day(6)], 1), ([day(3), day(5)], 0)):
        assert store.snapshot(INTERACTIONS, CATALOGUE, moments) == computed
    assert sorted(path.name[:10] for path in tmp_path.glob("cooccurrence/*")) == [
        f"{day(number):%Y-%m-%d}" for number in (3, 5, 6)
    ]
    assert sorted({path.name[:10] for path in tmp_path.glob("item_behaviour/*")}) == [
        f"{day(number):%Y-%m-%d}" for number in (3, 5, 6)
    ]


def test_a_snapshot_that_cannot_be_removed_is_not_taken_for_forgotten(tmp_path, monkeypatch):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY])

    def refuse(path, missing_ok=False):
        raise PermissionError(path)

    with monkeypatch.context() as locked:
        locked.setattr("pathlib.Path.unlink", refuse)
        with pytest.raises(PermissionError):
            store.forget_snapshots()
    store.forget_snapshots()
    assert not list(tmp_path.glob("*/*.npz"))


# Days


def days_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of the log and of the days, by its place: another one when it was written anew."""
    daily = folder / "daily"
    found = [*daily.glob("log/*/*"), *daily.glob("days/*/*")]
    return {str(path.relative_to(daily)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def changed_days(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    """The days of which a file was written or removed."""
    return {re.search(r"\d{4}-\d\d-\d\d", place)[0] for place, _ in before.items() ^ after.items()}


def test_with_a_day_more_that_day_alone_is_computed(tmp_path):
    store = filled(tmp_path, MIDDLE)
    before = days_of(tmp_path)
    assert len({place.rpartition("/")[0] for place in before}) == 6 + 5  # that of the moment is not over
    store.forget_snapshots()
    assert days_of(tmp_path) == before
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(pl.concat([INTERACTIONS, log(("eve", "e", 21.5))], how="diagonal"), CATALOGUE, [day(22)])
    # Of the 20th day only half was known before.
    assert changed_days(before, days_of(tmp_path)) == {"2024-01-21", "2024-01-22"}
    (eve,) = store.users_at(["eve"], CATALOGUE, day(22))
    assert items_of(eve) == ["e"]


def test_a_day_with_late_interactions_is_computed_anew_and_one_without_any_is_forgotten(tmp_path):
    store = filled(tmp_path, MIDDLE)
    before = days_of(tmp_path)
    changed = INTERACTIONS.filter(pl.col("user_id") != "cat")
    changed = pl.concat([changed, log(("eve", "e", 13.25))], how="diagonal").sort("timestamp")
    store.forget_other_data(changed, CATALOGUE)
    store.snapshot(changed, CATALOGUE, [MIDDLE], impressions=IMPRESSIONS)
    after = days_of(tmp_path)
    assert changed_days(before, after) == {"2024-01-14", "2024-01-15"}
    assert not [place for place in after if "2024-01-15" in place]
    fresh = filled(tmp_path / "fresh", MIDDLE, interactions=changed)
    for user in [*USERS, "eve"]:
        (found,), (expected,) = (one.users_at([user], CATALOGUE, MIDDLE) for one in (store, fresh))
        assert bits(found) == bits(expected)
    assert bits(store.items_at(CATALOGUE, MIDDLE)) == bits(fresh.items_at(CATALOGUE, MIDDLE))


# The online store


def test_an_online_store_that_was_never_filled_says_what_to_do(tmp_path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY])
    for read in (store.online_as_of, lambda: store.online_items(CATALOGUE)):
        with pytest.raises(FeatureStoreError, match="the online store is empty; run `recsys train` to fill it"):
            read()


def test_the_online_store_is_that_of_its_moment(store):
    assert store.online_as_of() == MIDDLE
    assert store.online_items(CATALOGUE).now == MIDDLE.timestamp()
    assert items_of(store.online_user("dan", CATALOGUE)) == []


def test_the_online_store_serves_when_its_snapshot_is_forgotten(tmp_path):
    store = filled(tmp_path, MIDDLE)
    known = bits(store.online_items(CATALOGUE)), bits(store.online_user("ann", CATALOGUE))
    store.forget_snapshots()
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    assert (bits(store.online_items(CATALOGUE)), bits(store.online_user("ann", CATALOGUE))) == known


def test_the_online_store_serves_while_other_moments_are_computed(tmp_path):
    store = filled(tmp_path, EARLY)
    store.snapshot(INTERACTIONS, CATALOGUE, [MIDDLE])
    for reader in (store, BehaviourStore(tmp_path, FEATURES, WEIGHTS)):
        assert items_of(reader.online_user("ann", CATALOGUE)) == ["a", "c"]


def test_the_online_store_serves_while_it_is_filled_and_can_be_filled_after_that_broke_off(tmp_path):
    store = filled(tmp_path, EARLY, MIDDLE)
    for view in store.feast.list_feature_views():
        view.state = FeatureViewState.MATERIALIZING
        store.feast.registry.apply_feature_view(view, "recsys", commit=True)
    assert items_of(BehaviourStore(tmp_path, FEATURES, WEIGHTS).online_user("ann", CATALOGUE)) == ["a", "c"]
    BehaviourStore(tmp_path, FEATURES, WEIGHTS).materialise(MIDDLE)
    assert items_of(BehaviourStore(tmp_path, FEATURES, WEIGHTS).online_user("ann", CATALOGUE)) == ["a", "b", "c"]


def test_filling_the_online_store_again_leaves_nobody_of_the_old_one_in_it(tmp_path):
    store = filled(tmp_path, LATE)
    assert items_of(store.online_user("dan", CATALOGUE)) == ["d"]
    assert store.online_as_of() == LATE
    store.forget_snapshots()
    without_dan = INTERACTIONS.filter(pl.col("user_id") != "dan")
    store.snapshot(without_dan, CATALOGUE, [LATE])
    store.materialise(LATE)
    for reader in (store, BehaviourStore(tmp_path, FEATURES, WEIGHTS)):
        assert np.isnan(reader.online_user("dan", CATALOGUE).behaviour).all()
        assert np.isnan(reader.online_items(CATALOGUE).behaviour[CATALOGUE.index["d"]]).all()
        assert items_of(reader.online_user("ann", CATALOGUE)) == ["a", "b", "c"]


def test_who_has_read_from_the_online_store_goes_on_with_that_moment(tmp_path):
    store = filled(tmp_path, EARLY, MIDDLE)
    reader = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    assert items_of(reader.online_user("ann", CATALOGUE)) == ["a", "c"]
    store.materialise(MIDDLE)
    assert items_of(reader.online_user("ann", CATALOGUE)) == ["a", "c"]
    assert items_of(reader.online_user("bob", CATALOGUE)) == ["a"]
    assert items_of(store.online_user("bob", CATALOGUE)) == ["b", "a"]


def test_what_was_left_of_an_unfinished_fill_does_not_matter_and_goes_with_the_next(tmp_path, monkeypatch):
    store = filled(tmp_path, LATE, MIDDLE)
    with monkeypatch.context() as broken:
        broken.setattr("features.online_filling.feature_store_yaml", lambda *arguments, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.materialise(MIDDLE)
    assert len(list(tmp_path.glob("online/*.db"))) == 2
    assert items_of(BehaviourStore(tmp_path, FEATURES, WEIGHTS).online_user("dan", CATALOGUE)) == ["d"]
    (tmp_path / "online" / "20240101T000000-broken.db-journal").write_bytes(b"half a journal")
    store.materialise(MIDDLE)
    assert items_of(store.online_user("ann", CATALOGUE)) == ["a", "b", "c"]
    assert items_of(store.online_user("dan", CATALOGUE)) == []
    store._online.close()
    assert sorted(path.suffix for path in tmp_path.glob("online/*")) == [".db", ".json", ".npz"]
    assert not list(tmp_path.rglob("*.tmp*"))


def test_a_moment_that_was_never_computed_leaves_the_online_store_as_it_is(tmp_path):
    store = filled(tmp_path, EARLY)
    with pytest.raises(FileNotFoundError):
        store.materialise(MIDDLE)
    assert store.online_as_of() == EARLY
    assert items_of(BehaviourStore(tmp_path, FEATURES, WEIGHTS).online_user("ann", CATALOGUE)) == ["a", "c"]


def test_filling_the_online_store_prints_and_logs_nothing(tmp_path, capfd, caplog):
    filled(tmp_path, EARLY)
    captured = capfd.readouterr()
    assert (captured.out, captured.err, caplog.messages) == ("", "", [])
