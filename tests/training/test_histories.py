import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.config import InteractionType
from tests.features.whole_log import user_history
from tests.training.project import TYPES, at, catalogue_of, chosen
from training import histories
from training.histories import Log, PaddedPasts, Past

CATALOGUE = catalogue_of("a", "b", "c", "d", "e")
A, B, C, D, E = range(5)
VIEW, PURCHASE = 1, 0  # kinds are the types in the order of their names


def log_of(*parts: pl.DataFrame, without: str = "", types: dict[str, InteractionType] = TYPES) -> Log:
    mask = np.array([item in without for item in CATALOGUE.item_ids])
    found = Log.of(pl.concat(parts), CATALOGUE, types, without=mask)
    assert found is not None
    return found


def past_of(log: Log, day: float, *, user: str = "u", length: int = 40) -> Past:
    return log.past(log.users[user], at(day).timestamp(), length)


ROWS = (("u", "a", 1), ("v", "d", 1), ("u", "b", 2), ("u", "a", 4), ("u", "c", 4))


def test_a_past_is_the_distinct_items_the_latest_first_with_their_ages_and_occasions():
    past = past_of(log_of(chosen(*ROWS)), 10)
    assert past.items.tolist() == [C, A, B]  # of one moment the one logged last comes first
    assert past.age_days.tolist() == [6, 6, 8]
    assert past.occasions.tolist() == [1, 2, 1]
    assert past.kind.tolist() == [PURCHASE] * 3


def test_what_is_chosen_at_the_moment_is_not_past_yet():
    log = log_of(chosen(*ROWS))
    past = past_of(log, 4)
    assert (past.items.tolist(), past.age_days.tolist(), past.occasions.tolist()) == ([B, A], [2, 3], [1, 1])
    assert past_of(log, 1).items.tolist() == []
    assert past_of(log, 1.5, user="v").items.tolist() == [D]


def test_two_interactions_at_one_moment_are_one_occasion():
    past = past_of(
        log_of(chosen(("u", "a", 1), ("u", "a", 1), ("u", "a", 2)), chosen(("u", "a", 2), event_type="view")), 3
    )
    assert past.occasions.tolist() == [2]


def test_the_kind_of_an_item_is_the_type_of_the_highest_weight_and_of_equal_ones_the_first_by_name():
    types = {"wish": InteractionType(weight=0.5), "cart": InteractionType(weight=0.5), "buy": InteractionType(weight=1)}
    log = log_of(
        chosen(("u", "a", 1), event_type="buy", types=types),
        chosen(("u", "a", 2), ("u", "b", 2), event_type="wish", types=types),
        chosen(("u", "b", 3), event_type="cart", types=types),
        chosen(("u", "c", 3), event_type="wish", types=types),
        types=types,
    )
    past = past_of(log, 9)
    assert log.types == ("buy", "cart", "wish")
    assert {CATALOGUE.item_ids[item]: log.types[kind] for item, kind in zip(past.items, past.kind, strict=True)} == {
        "a": "buy",
        "b": "cart",
        "c": "wish",
    }


def test_a_past_holds_at_most_so_many_items():
    log = log_of(chosen(*ROWS))
    assert past_of(log, 10, length=2).items.tolist() == [C, A]
    assert past_of(log, 10).latest(1).items.tolist() == [C]


def test_of_a_robot_only_the_latest_interactions_are_looked_at(monkeypatch):
    monkeypatch.setattr(histories, "ROWS_LOOKED_AT", 2)
    log = log_of(chosen(("t", "e", 1), ("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "d", 4)))
    assert past_of(log, 3.5).items.tolist() == [C, B]
    assert past_of(log, 2.5).items.tolist() == [B, A]


def test_items_without_which_a_log_is_made_are_in_no_past_and_users_of_nothing_else_are_gone():
    log = log_of(chosen(*ROWS), without="ad")
    assert past_of(log, 10).items.tolist() == [C, B]
    assert list(log.users) == ["u"]
    assert log.seen_until == at(4)


def test_an_item_that_the_catalogue_does_not_have_is_left_out():
    assert past_of(log_of(chosen(("u", "?", 3), ("u", "a", 1))), 10).items.tolist() == [A]


def test_seen_until_is_the_latest_interaction_that_is_left():
    assert log_of(chosen(*ROWS, ("v", "e", 9))).seen_until == at(9)
    assert log_of(chosen(*ROWS, ("v", "e", 9)), without="e").seen_until == at(4)


def test_of_nothing_there_is_no_log():
    assert Log.of(chosen(("u", "?", 1)), CATALOGUE, TYPES) is None
    assert Log.of(chosen(("u", "a", 1)), CATALOGUE, TYPES, without=np.ones(5, dtype=np.bool_)) is None


def test_the_query_that_was_typed_stands_beside_its_interaction():
    log = log_of(chosen(("u", "b", 2), query="a lamp"), chosen(("u", "a", 1), ("t", "c", 5)))
    assert (log.item.tolist(), log.query) == ([C, A, B], [None, None, "a lamp"])
    without_column = chosen(("u", "a", 1)).drop("query")
    assert log_of(without_column).query == [None]


def test_an_occasion_begins_with_each_moment_of_each_user():
    log = log_of(chosen(("t", "a", 1), ("t", "b", 4), ("u", "a", 4), ("u", "b", 4), ("u", "c", 5), ("v", "d", 5)))
    assert log.occasion_starts.tolist() == [0, 1, 2, 4, 5]


days = st.integers(0, 12).map(lambda half: half / 2)
rows = st.tuples(st.sampled_from("uv"), st.sampled_from("abcde"), days, st.sampled_from(["buy", "cart", "wish"]))
MANY_TYPES = {name: InteractionType(weight=weight) for name, weight in (("buy", 1.0), ("cart", 0.5), ("wish", 0.5))}


@settings(deadline=None, max_examples=40)
@given(st.lists(rows, min_size=1, max_size=25).map(lambda found: sorted(found, key=lambda row: row[2])), days)
def test_a_past_is_the_history_of_the_feature_store_at_the_same_moment(everything, moment):
    parts = [chosen((*row[:3],), event_type=row[3], types=MANY_TYPES) for row in everything]
    log = log_of(*parts, types=MANY_TYPES)
    histories = {row["user_id"]: row for row in user_history(pl.concat(parts), at(moment)).iter_rows(named=True)}
    for user in log.users:
        past = past_of(log, moment, user=user)
        row = histories.get(user)
        if row is None:
            assert past.items.tolist() == []
            continue
        assert [CATALOGUE.item_ids[item] for item in past.items] == row["history_items"]
        assert past.occasions.tolist() == row["history_occasions"]
        assert [log.types[kind] for kind in past.kind] == row["history_types"]
        last_at = at(moment).timestamp() - past.age_days * 86_400
        np.testing.assert_allclose(last_at, row["history_last_at"], rtol=0, atol=1e-3)


def test_pasts_of_unlike_length_are_padded_on_the_right():
    log = log_of(chosen(*ROWS))
    padded = PaddedPasts.of([past_of(log, 10), Past.empty(), past_of(log, 10, user="v")]).to(torch.device("cpu"))
    assert padded.items.tolist() == [[C, A, B], [0, 0, 0], [D, 0, 0]]
    assert padded.present.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert padded.age_days.tolist() == [[6, 6, 8], [0, 0, 0], [9, 0, 0]]
    assert padded.occasions.tolist() == [[1, 2, 1], [0, 0, 0], [1, 0, 0]]
    assert (padded.items.dtype, padded.kind.dtype) == (torch.int64, torch.int64)
    assert (padded.age_days.dtype, padded.present.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("pasts", [[Past.empty()], [Past.empty()] * 2])
def test_pasts_of_nothing_are_one_wide(pasts):
    assert PaddedPasts.of(pasts).present.tolist() == [[0]] * len(pasts)
