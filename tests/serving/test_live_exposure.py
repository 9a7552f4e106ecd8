"""What an answer that was logged changes for later requests; tests.serving.made_bundle says when the snapshot was."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.exposure import item_exposure
from features.snapshots import SnapshotTables
from recsys.exposure import Exposure
from recsys.schema import columns_of
from serving.events import EventLog
from serving.live_behaviour import LiveBehaviour
from serving.recent_log import RecentLog
from serving.tables_then import tables_then
from serving.types import Impression, Interaction, ServedFeatures
from tests.serving.made_bundle import NOW
from tests.serving.test_live_behaviour import CATALOGUE, FEATURES, WEIGHTS, event, live

AS_OF = datetime.fromtimestamp(NOW, UTC)


def impression(request: str, items: str, seconds: float) -> Impression:
    """So many seconds after the snapshot."""
    at = AS_OF + timedelta(seconds=seconds)
    return Impression(request_id=request, user_id="u", timestamp=at, items=list(items), surface="rank", bundle="made")


def put(log: EventLog, *logged: Impression | Interaction) -> None:
    """In this order."""
    for one in logged:
        if isinstance(one, Impression):
            log.show(one)
        else:
            log.append([one])
    # An impression is written soon; this waits for it.
    log.append([])


def exposure(behaviour: LiveBehaviour) -> Exposure:
    behaviour.catch_up()
    found = behaviour._items.state.exposure
    assert found is not None
    return found


def counts(behaviour: LiveBehaviour, items: str = "abc") -> dict[str, tuple[float, ...]]:
    """Of each item that was shown: in 7 and 28 days, and how often that led to a buy and to a click."""
    found = exposure(behaviour)
    assert found.columns == ("shown_7d", "shown_28d", "chosen_buy_28d", "chosen_click_28d")
    assert found.totals.tolist() == found.counts.sum(axis=0).tolist()
    index = behaviour._items.catalogue.index
    rows = {item: tuple(found.counts[index[item]].tolist()) for item in items}
    return {item: row for item, row in rows.items() if any(row)}


@pytest.fixture
def log(tmp_path: Path):
    with EventLog.open(tmp_path / "events.db") as opened:
        yield opened


def test_an_impression_counts_when_an_event_is_later_than_it(tmp_path, log):
    behaviour = live(tmp_path)
    put(log, impression("one", "ab", 10), impression("two", "a", 20))
    assert counts(behaviour) == {}
    put(log, event("u", "c", 10))
    assert counts(behaviour) == {"a": (1, 1, 0, 0), "b": (1, 1, 0, 0)}
    put(log, event("u", "c", 30))
    assert counts(behaviour) == {"a": (2, 2, 0, 0), "b": (1, 1, 0, 0)}


def test_an_event_that_names_an_impression_answers_it_once(tmp_path, log):
    behaviour = live(tmp_path)
    put(log, impression("one", "ab", 10), event("u", "a", 20, request_id="one"))
    assert counts(behaviour) == {"a": (1, 1, 0, 1), "b": (1, 1, 0, 0)}
    again = [event("u", "a", 25, request_id="one"), event("v", "a", 25, request_id="one", event_type="buy")]
    put(log, *again, event("u", "c", 25, request_id="one"), event("u", "a", 25, request_id="another"))
    assert counts(behaviour) == {"a": (1, 1, 1, 1), "b": (1, 1, 0, 0)}


def test_an_event_may_be_logged_before_what_it_answers(tmp_path, log):
    behaviour = live(tmp_path)
    put(log, event("u", "a", 20, request_id="one"))
    assert counts(behaviour) == {}
    put(log, impression("one", "ab", 10))
    assert counts(behaviour) == {"a": (1, 1, 0, 1), "b": (1, 1, 0, 0)}


def test_what_was_shown_before_the_snapshot_is_in_it_and_is_answered_from_the_next_one_on(tmp_path, log):
    put(log, impression("old", "a", -10), impression("one", "a", 0), event("u", "a", 20, request_id="old"))
    assert counts(live(tmp_path)) == {"a": (1, 1, 0, 0)}


def test_a_server_that_starts_reads_only_what_was_shown_since_its_snapshot(tmp_path, log):
    put(log, *(impression(f"old-{number}", "a", -10 - number) for number in range(5)))
    behaviour = live(tmp_path)
    found = RecentLog(tmp_path / "events.db")
    assert found.shown_before(behaviour.as_of) == 5
    put(log, impression("new", "a", 10), impression("late", "a", -5), event("u", "b", 20))
    assert found.shown_before(behaviour.as_of) == 5
    assert found.shown_before(AS_OF + timedelta(seconds=11)) == 7
    assert counts(behaviour) == {"a": (1, 1, 0, 0)}
    assert RecentLog(tmp_path / "none.db").shown_before(AS_OF) == 0


def test_an_item_that_is_added_later_has_what_was_counted_of_it(tmp_path, log):
    behaviour = live(tmp_path)
    put(log, impression("one", "da", 10), event("u", "d", 20, request_id="one"))
    assert counts(behaviour) == {"a": (1, 1, 0, 0)}
    behaviour._items.put("d", "d", np.ones(4, dtype=np.float32) / 2)
    for _ in range(2):
        behaviour.show(["d"])
        assert counts(behaviour, "ad") == {"a": (1, 1, 0, 0), "d": (1, 1, 0, 1)}
    put(log, impression("two", "d", 10))
    assert counts(behaviour, "ad") == {"a": (1, 1, 0, 0), "d": (2, 2, 0, 1)}


def test_an_impression_that_waits_is_not_read_at_each_request(tmp_path, log, monkeypatch):
    behaviour = live(tmp_path)
    put(log, event("u", "a", 5), *(impression(str(number), "a", 10) for number in range(20)))
    behaviour.catch_up()
    read: list[int] = []
    shown_after = RecentLog.shown_after

    def counted(self: RecentLog, *places: int):
        found = list(shown_after(self, *places))
        read.append(len(found))
        return iter(found)

    monkeypatch.setattr(RecentLog, "shown_after", counted)
    behaviour.catch_up()
    put(log, impression("late", "b", 10))
    behaviour.catch_up()
    put(log, event("u", "a", 20))
    assert counts(behaviour) == {"a": (20, 20, 0, 0), "b": (1, 1, 0, 0)}
    assert read == [0, 1, 21]


@pytest.mark.parametrize("failing", ["shown_by", "shown_after"])
def test_what_could_not_be_read_is_counted_the_next_time(tmp_path, log, monkeypatch, failing):
    behaviour = live(tmp_path)
    put(log, impression("one", "ab", 10), event("u", "c", 20))
    behaviour.catch_up()
    put(log, impression("two", "a", 15), event("u", "a", 20, request_id="one"), event("u", "a", 20, request_id="two"))

    def fail(*_: object):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(RecentLog, failing, fail)
        with pytest.raises(sqlite3.OperationalError):
            behaviour.catch_up()
        assert not behaviour.is_up_to_date
    assert counts(behaviour) == {"a": (2, 2, 0, 2), "b": (1, 1, 0, 0)}
    assert behaviour.is_up_to_date


moments = st.sampled_from([-2000.0, 0.0, 1.0, 1.0, 2.0, 90.0, 100.0])
requests = st.sampled_from(["r0", "r1", "r2"])
impressions = st.lists(
    st.tuples(requests, st.sampled_from(["a", "ab", "cd", "aa"]), moments), unique_by=lambda row: row[0]
)
events = st.lists(
    st.tuples(st.sampled_from("abd"), moments, st.none() | requests, st.sampled_from(["click", "buy"])), max_size=6
)


def computed(folder: Path, behaviour: LiveBehaviour) -> dict[str, tuple[float, ...]]:
    """What features.exposure says of what the log has up to the places that were followed."""
    places = behaviour.position, behaviour.exposure.position, 0
    served = ServedFeatures(behaviour.as_of, behaviour.written_at, *places, [], None)  # type: ignore[arg-type]
    nothing = SnapshotTables(pl.DataFrame(schema=columns_of("interactions")))
    then = tables_then(folder / "events.db", nothing, served, WEIGHTS, most_a_day=1000)
    latest = then.recent["timestamp"].max()
    now = AS_OF if latest is None else max(AS_OF, latest + timedelta(microseconds=1))
    found = item_exposure(then.impressions, then.recent, now, FEATURES, windows_from=AS_OF)
    return {item: tuple(row) for item, _, *row in found.rows() if item in CATALOGUE.index}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(impressions, events, st.randoms(use_true_random=False))
def test_late_repeated_and_disordered_logs_give_what_ordered_ones_and_the_tables_give(
    tmp_path_factory, impressions, events, random
):
    shown = [impression(request, items, at) for request, items, at in sorted(impressions, key=lambda row: row[2])]
    done = [
        event("u", item, at, f"{number}", request_id=request, event_type=kind)
        for number, (item, at, request, kind) in enumerate(events)
    ]
    ordered, disordered = (tmp_path_factory.mktemp("log") for _ in range(2))
    with EventLog.open(ordered / "events.db") as log:
        put(log, *shown, *done)
    shuffled = [*shown, *done, *shown, *done]
    random.shuffle(shuffled)
    behaviour = live(disordered)
    with EventLog.open(disordered / "events.db") as log:
        for one in shuffled:
            put(log, one)
            counts(behaviour)
    expected = counts(live(ordered))
    assert counts(behaviour) == expected
    assert counts(live(disordered)) == expected
    assert computed(disordered, behaviour) == expected
