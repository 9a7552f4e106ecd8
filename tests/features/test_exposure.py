from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.exposure import item_exposure
from tests.features.log import FEATURES, MICROSECOND, day, log, shown

AS_OF = day(100)


def answers(*rows: tuple) -> pl.DataFrame:
    """Interactions: request (None: it names none), item, day, and optionally type (view)."""
    full = [(*row, "view")[:4] for row in rows]
    ids = pl.Series("request_id", [row[0] for row in full], pl.String)
    return log(*(("ann", item, at, None, 1.0, kind) for _, item, at, kind in full)).with_columns(ids)


def counts(impressions: pl.DataFrame | None, interactions: pl.DataFrame, **windows) -> dict[str, tuple]:
    """Of each item how often it was shown in 7 and 28 days, and how often that led to a purchase and to a view."""
    rows = item_exposure(impressions, interactions, AS_OF, FEATURES, **windows).drop("event_timestamp").rows()
    return {item: tuple(values) for item, *values in rows}


def test_an_item_is_counted_for_each_answer_that_showed_it_in_the_window():
    impressions = shown(
        ("before", day(72) - MICROSECOND, "a"),
        ("a month", 72, "ab"),
        ("a week", 93, "acc"),
        ("now", AS_OF, "ad"),
    )
    assert counts(impressions, answers()) == {"a": (1, 2, 0, 0), "b": (0, 1, 0, 0), "c": (1, 1, 0, 0)}


def test_an_interaction_answers_the_impression_that_its_request_id_names_if_that_showed_the_item():
    impressions = shown(("one", 80, "ab"), ("two", 90, "ab"))
    interactions = answers(
        ("one", "a", 81), ("one", "a", 95, "purchase"), ("two", "c", 91), ("three", "a", 91), (None, "b", 80.01)
    )
    assert counts(impressions, interactions) == {"a": (0, 2, 1, 1), "b": (0, 2, 0, 0)}


def test_an_impression_leads_to_a_type_once_however_often_it_was_answered():
    interactions = answers(("one", "a", 95), ("one", "a", 96), ("one", "a", 97, "purchase"), ("one", "a", 97, "wish"))
    assert counts(shown(("one", 94, "a")), interactions) == {"a": (1, 1, 1, 1)}


def test_what_follows_at_the_moment_or_later_is_not_known_yet():
    interactions = answers(("one", "a", AS_OF), ("one", "b", AS_OF - MICROSECOND))
    assert counts(shown(("one", 94, "ab")), interactions) == {"a": (1, 1, 0, 0), "b": (1, 1, 0, 1)}


def test_a_choice_counts_in_the_window_that_the_item_was_shown_in():
    impressions = shown(("old", day(72) - MICROSECOND, "a"), ("one", 99, "b"))
    assert counts(impressions, answers(("old", "a", 99))) == {"b": (1, 1, 0, 0)}


def test_windows_may_begin_with_an_earlier_snapshot():
    impressions = shown(("one", 69, "a"), ("two", 83, "a"), ("three", 95, "a"))
    found = counts(impressions, answers(("one", "a", 96)), windows_from=day(90))
    assert found == {"a": (2, 3, 0, 1)}


@pytest.mark.parametrize("impressions", [None, shown()], ids=["no table", "an empty one"])
def test_where_nothing_was_shown_there_is_no_row(impressions):
    found = item_exposure(impressions, answers(("one", "a", 99)), AS_OF, FEATURES)
    assert found.height == 0
    assert found.schema["shown_7d"] == pl.Float64


def test_a_log_of_which_no_interaction_names_an_answer_counts_what_was_shown():
    assert counts(shown(("one", 99, "a")), log(("ann", "a", 99.5))) == {"a": (1, 1, 0, 0)}


requests = st.sampled_from(["r0", "r1", "r2", "r3"])
times = st.sampled_from([40.0, 71.9, 72.0, 85.0, 93.0, 99.0, 100.0])
impressions = st.lists(st.tuples(requests, times, st.text("abc", min_size=1, max_size=4)), unique_by=lambda row: row[0])
interactions = st.lists(
    st.tuples(st.none() | requests, st.sampled_from("abc"), times, st.sampled_from(["view", "purchase"])), max_size=8
)


@settings(deadline=None)
@given(impressions, interactions)
def test_the_counts_are_those_of_a_loop_over_what_was_shown(impressions, interactions):
    expected: dict[str, list[int]] = {}
    for request, at, items in impressions:
        if not 72 <= at < 100:
            continue
        for item in set(items):
            led_to = {kind for name, of, when, kind in interactions if (name, of) == (request, item) and when < 100}
            row = expected.setdefault(item, [0, 0, 0, 0])
            for place, is_one in enumerate((at >= 93, True, "purchase" in led_to, "view" in led_to)):
                row[place] += is_one
    found = counts(shown(*impressions), answers(*interactions))
    assert found == {item: tuple(row) for item, row in sorted(expected.items())}
    assert all(row[1] >= max(row) for row in found.values())


def test_nothing_of_the_future_is_counted():
    impressions, interactions = (
        shown(("one", 95, "ab"), ("two", 101, "a")),
        answers(("one", "a", 99), ("one", "b", 101)),
    )
    past = [frame.filter(pl.col("timestamp") < AS_OF) for frame in (impressions, interactions)]
    assert counts(*past) == counts(impressions, interactions)
    assert AS_OF + timedelta(days=1) in impressions["timestamp"]
