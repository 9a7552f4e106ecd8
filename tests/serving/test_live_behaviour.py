"""What an acknowledged event changes for the very next request; tests.serving.made_bundle says what was known."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.featureset import FeatureSet
from features.recent import Row
from features.topics import Topics
from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError
from recsys.state import POPULARITY, ItemState, UserState
from recsys.text_neighbours import TextNeighbours
from serving import live_behaviour
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.events import EventLog
from serving.live import RECENT_EVENTS
from serving.live_behaviour import LiveBehaviour
from serving.live_items import LiveItems
from serving.recent_log import RecentLog
from serving.types import Interaction
from tests.features.log import catalogue_of
from tests.serving.made_bundle import BOXES_SOLD, NOW, WRITTEN_AT, MadeStore, made_engine

CATALOGUE = catalogue_of("abc")
WEIGHTS = {"click": 1.0, "buy": 3.0}
FEATURES = FeatureSet.of(WEIGHTS)


def event(user: str, item: str, seconds: float, event_id: str | None = None, **more: object) -> Interaction:
    """So many seconds after the snapshot."""
    at = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=seconds)
    kind = more.pop("event_type", "click")
    return Interaction(user_id=user, item_id=item, event_type=kind, timestamp=at, event_id=event_id, **more)


def items_of(catalogue: Catalogue) -> LiveItems:
    vectors = np.eye(len(catalogue), 4, dtype=np.float32)
    state = MadeStore(FEATURES).online_items(catalogue)
    return LiveItems(catalogue, state, vectors, Topics.of(TextNeighbours.of(vectors), state))


def live(folder: Path, store: MadeStore | None = None, most_a_day: int | None = None) -> LiveBehaviour:
    log, items = RecentLog(folder / "events.db"), items_of(CATALOGUE)
    return LiveBehaviour(log, store or MadeStore(FEATURES), items, FEATURES, WEIGHTS, most_a_day)


def everything(behaviour: LiveBehaviour, users: Sequence[str]) -> tuple[ItemState, list[UserState]]:
    behaviour.catch_up()
    return behaviour._items.state, [behaviour.user(user, CATALOGUE) for user in users]


def assert_same(found: tuple[ItemState, list[UserState]], expected: tuple[ItemState, list[UserState]]) -> None:
    assert found[0].now == expected[0].now
    np.testing.assert_array_equal(found[0].behaviour, expected[0].behaviour)
    np.testing.assert_array_equal(found[0].popularity, expected[0].popularity)
    for one, other in zip(found[1], expected[1], strict=True):
        for name in ("behaviour", "history", "occasions", "first_at", "last_at", "types", "spent"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(one.recent.at, other.recent.at)


@pytest.fixture
def engine(tmp_path: Path, made_scorer: Path) -> BundleEngine:
    return made_engine(tmp_path, made_scorer)


# Read your writes


def test_the_next_request_knows_of_an_acknowledged_event(engine, tmp_path):
    def best(user: str) -> str:
        return engine.recommend(Asked(user, limit=1), exclude=["p1"], exclude_seen=True).items[0].item_id

    assert best("new").startswith("x")
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("new", "a1", 5)])
        assert best("new") == "a2"
        log.append([event("fan", "p1", 6)])
        assert engine.rank(Asked("fan"), ["p1", "x1"]).items[0].item_id == "p1"


def test_an_event_counts_for_its_item_at_once(engine, tmp_path):
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event(f"u{n}", "p1", n) for n in range(60)])
    found = engine.rank(Asked("nobody"), ["x1", "p1"])
    assert [(item.item_id, item.score) for item in found.items] == [("p1", 61.0), ("x1", BOXES_SOLD)]
    assert engine.recommend(Asked("nobody", limit=1)).items[0].item_id == "p1"


def test_the_moment_of_a_request_is_just_after_the_latest_event(tmp_path):
    behaviour = live(tmp_path)
    assert everything(behaviour, [])[0].now == NOW
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a", 10), event("u", "b", 5)])
        assert everything(behaviour, [])[0].now == pytest.approx(NOW + 10, abs=1e-5)
        assert everything(behaviour, [])[0].now > NOW + 10


def test_an_event_is_never_later_than_its_arrival(tmp_path):
    behaviour = live(tmp_path)
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a", 0, event_id="tomorrow")])
        tomorrow = datetime.now(UTC) + timedelta(hours=20)
        log.append([Interaction(user_id="u", item_id="a", event_type="click", timestamp=tomorrow)])
    assert everything(behaviour, [])[0].now <= datetime.now(UTC).timestamp()


def test_of_a_robot_the_first_events_of_a_day_count_as_after_the_import(tmp_path):
    capped, expected = live(tmp_path, most_a_day=2), live(tmp_path)
    a_day = 86_400
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("robot", "a", at) for at in (0, 1, a_day, a_day + 1)] + [event("u", "a", 2)])
        before = everything(expected, ["robot", "u"])
        assert_same(everything(capped, ["robot", "u"]), before)
        log.append([event("robot", "a", a_day + 1 + nth) for nth in range(1000)])
        assert_same(everything(capped, ["robot", "u"]), before)
        assert everything(expected, [])[0].now > before[0].now


def test_what_was_not_followed_because_the_store_failed_is_not_counted_twice(tmp_path, monkeypatch):
    behaviour = live(tmp_path, most_a_day=1)

    def fail(*_: object) -> list[Row]:
        raise FeatureStoreError("down")

    with EventLog.open(tmp_path / "events.db") as log, monkeypatch.context() as patch:
        log.append([event("u", "a", 0)])
        patch.setattr(behaviour._store, "online_rows", fail)
        with pytest.raises(FeatureStoreError):
            behaviour.catch_up()
    behaviour._retry_at = 0.0
    assert behaviour.catch_up()


# The same state, whatever the order


logged = st.lists(
    st.tuples(
        st.sampled_from(["fan", "bob"]),
        st.sampled_from("abc"),
        st.sampled_from([-2000.0, -1000.0, 0.0, 1.0, 1.0, 2.0, 90.0]),
        st.sampled_from(["click", "buy"]),
    ),
    max_size=8,
    unique=True,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logged, st.randoms(use_true_random=False))
def test_late_repeated_and_disordered_events_leave_what_ordered_ones_leave(tmp_path_factory, found, random):
    events = [
        event(user, item, at, event_id=f"{number}", event_type=kind)
        for number, (user, item, at, kind) in enumerate(sorted(found, key=lambda row: row[2]))
    ]
    ordered, disordered = (tmp_path_factory.mktemp("log") for _ in range(2))
    with EventLog.open(ordered / "events.db") as log:
        log.append(events)
    shuffled = [*events, *events]
    random.shuffle(shuffled)
    behaviour = live(disordered)
    with EventLog.open(disordered / "events.db") as log:
        for one in shuffled:
            log.append([one])
            behaviour.catch_up()
    users = ["fan", "bob"]
    expected = everything(live(ordered), users)
    # Of several items at one time the one logged last is the latest, so that alone may differ.
    assert_same(sorted_history(everything(behaviour, users)), sorted_history(expected))
    assert_same(everything(live(disordered), users), everything(behaviour, users))


def sorted_history(found: tuple[ItemState, list[UserState]]) -> tuple[ItemState, list[UserState]]:
    items, users = found
    order = [np.lexsort((user.history, -user.last_at)) for user in users]
    lists = ("history", "occasions", "first_at", "last_at", "types", "spent")
    return items, [
        UserState(user.behaviour, *(getattr(user, name)[at] for name in lists), user.recent)
        for user, at in zip(users, order, strict=True)
    ]


def test_a_process_that_starts_again_finds_the_same(tmp_path):
    with EventLog.open(tmp_path / "events.db") as log:
        behaviour = live(tmp_path)
        for number in range(20):
            log.append([event("fan", "abc"[number % 3], number), event(f"u{number % 4}", "a", number)])
            behaviour.catch_up()
    users = ["fan", "u0", "u3", "nobody"]
    assert_same(everything(live(tmp_path), users), everything(behaviour, users))


def test_what_another_process_logged_is_followed(tmp_path):
    with EventLog.open(tmp_path / "events.db") as one, EventLog.open(tmp_path / "events.db") as other:
        behaviour = live(tmp_path)
        one.append([event("u", "a", 1)])
        other.append([event("u", "b", 2)])
        assert everything(behaviour, ["u"])[1][0].history.tolist() == [1, 0]


# What the snapshot has


def test_an_event_of_before_the_snapshot_counts_only_if_it_came_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(MadeStore, "online_written_at", lambda self: datetime(2100, 1, 1, tzinfo=UTC))
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a", -5), event("u", "b", 5)])
    assert everything(live(tmp_path), ["u"])[1][0].history.tolist() == [1]
    monkeypatch.setattr(MadeStore, "online_written_at", lambda self: datetime.fromtimestamp(WRITTEN_AT, UTC))
    assert everything(live(tmp_path), ["u"])[1][0].history.tolist() == [1, 0]


def test_an_item_that_is_added_later_has_what_was_logged_of_it(tmp_path):
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "d", 1), event("v", "d", 2)])
    behaviour = live(tmp_path)
    behaviour.catch_up()
    items = behaviour._items
    items.put("d", "d", np.ones(4, dtype=np.float32) / 2)
    behaviour.show(["d"])
    assert items.state.behaviour[3, FEATURES.item_columns.index(POPULARITY)] == 2
    assert items.state.popularity[3] == 2


def test_types_that_the_configuration_no_longer_has_are_passed_over(tmp_path):
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a", 1, event_type="wish"), event("u", "b", 2)])
    assert everything(live(tmp_path), ["u"])[1][0].history.tolist() == [1]


def test_the_users_of_the_latest_requests_are_not_read_again_until_they_do_something(tmp_path, monkeypatch):
    monkeypatch.setattr(live_behaviour, "USERS_KEPT", 2)
    asked: list[str] = []
    rows = MadeStore.online_rows
    monkeypatch.setattr(MadeStore, "online_rows", lambda self, ids: asked.extend(ids) or rows(self, ids))
    behaviour = live(tmp_path)

    def read(*users: str) -> list[str]:
        asked.clear()
        everything(behaviour, users)
        return list(asked)

    assert read("fan", "bob", "fan", "bob") == ["fan", "bob"]
    assert read("fan", "cat", "fan", "bob") == ["cat", "bob"]
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("fan", "a", 1)])
    behaviour.catch_up()
    assert read("fan", "bob") == ["fan"]
    assert everything(behaviour, ["fan"])[1][0].history.tolist() == [0]
    behaviour.forget_users()
    assert read("fan") == ["fan"]


# A store that fails


class FailingStore(MadeStore):
    fails = True

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        if self.fails:
            raise FeatureStoreError("the online store does not answer")
        return super().online_rows(user_ids)


def test_events_wait_for_a_store_that_fails_and_none_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(live_behaviour, "RETRY_S", 0.0)
    store = FailingStore(FEATURES)
    behaviour = live(tmp_path, store)
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a", 1)])
        with pytest.raises(FeatureStoreError):
            behaviour.catch_up()
        assert not behaviour.is_up_to_date
        log.append([event("u", "b", 2)])
    store.fails = False
    assert everything(behaviour, ["u"])[1][0].history.tolist() == [1, 0]
    assert behaviour.is_up_to_date


def test_a_store_that_failed_is_left_alone_for_a_while(tmp_path):
    store = FailingStore(FEATURES)
    behaviour = live(tmp_path, store)
    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a", 1)])
    with pytest.raises(FeatureStoreError):
        behaviour.catch_up()
    assert behaviour.catch_up() is False
    assert not behaviour.is_up_to_date


def test_an_answer_says_that_recent_events_are_missing(engine, tmp_path, monkeypatch):
    assert engine.catch_up() == []

    def fail(self: MadeStore, user_ids: Sequence[str]) -> list[Row]:
        raise FeatureStoreError("the online store does not answer")

    with EventLog.open(tmp_path / "events.db") as log:
        log.append([event("u", "a1", 1)])
    monkeypatch.setattr(MadeStore, "online_rows", fail)
    assert engine.catch_up() == [f"{RECENT_EVENTS}: error"]
