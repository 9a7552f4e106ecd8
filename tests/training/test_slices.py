from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from recsys.catalogue import Catalogue
from recsys.config import Evaluation
from tests.training.cases import case_of
from tests.training.project import catalogue_of, chosen
from training import slices as module
from training.slices import Slice, by_category, by_history, by_month, cut_up, measure_slice, slices_of
from training.tally import Tally
from training.yardstick import Case, Yardstick

AT = Evaluation(recall_at=(2, 1), ndcg_at=(2, 1))
ITEMS = catalogue_of(*"abcdef")


def counted(parts: Sequence[Slice]) -> dict[str, list[set[int]]]:
    return {part.name: [set(relevant) for relevant in part.relevant] for part in parts}


def test_light_medium_and_heavy_users_are_thirds_by_the_length_of_the_history():
    cases = [case_of(f"u{size}", 5, history=range(size)) for size in (4, 0, 2, 1, 3, 5)]
    found = list(by_history(cases))
    assert counted(found) == {
        "light users": [set(), {5}, set(), {5}, set(), set()],
        "medium users": [set(), set(), {5}, set(), {5}, set()],
        "heavy users": [{5}, set(), set(), set(), set(), {5}],
    }
    assert [part.detail for part in found] == [f"items in the history: {low} to {low + 1}" for low in (0, 2, 4)]


def test_users_of_the_same_length_stay_together():
    found = list(by_history([case_of(str(at), 5, history=[0]) for at in range(6)]))
    assert [(part.name, part.detail) for part in found] == [("light users", "items in the history: 1")]


def test_items_are_new_rare_or_neither_by_the_users_who_had_them():
    cases = [case_of("u", 0, 1, 2), case_of("v", 3)]
    parts = cut_up(cases, ITEMS, np.array([0, 1, 5, 6, 0, 0]), chosen(("u", "a", 0)))
    found = counted([part for part in parts if part.by == "item"])
    assert found == {"new items": [{0}, set()], "rare items": [{1, 2}, set()], "other items": [set(), {3}]}


def test_categories_are_those_of_which_most_was_chosen(monkeypatch):
    monkeypatch.setattr(module, "TOP_CATEGORIES", 2)
    table = pl.DataFrame({"item_id": list("abcdef"), "title": "", "category": ["x", "y", "y", "z", "z", None]})
    cases = [case_of("u", 0, 1, 2, 5), case_of("v", 1, 3, 4)]
    found = list(by_category(cases, Catalogue.load(table)))
    assert counted(found) == {"y": [{1, 2}, {1}], "z": [set(), {3, 4}]}
    assert [part.detail for part in found] == ["3 choices", "2 choices"]


def test_without_categories_there_is_no_slice_of_them():
    assert list(by_category([case_of("u", 0)], ITEMS)) == []


def test_a_month_counts_what_was_chosen_in_it_and_one_month_alone_is_no_slice():
    cases = [case_of("u", 0, 1), case_of("v", 1)]
    log = chosen(("u", "a", 0), ("u", "b", 40), ("v", "b", 1), ("v", "b", 41))  # from 1 January on
    assert counted(list(by_month(cases, ITEMS, log))) == {"2024-01": [{0}, {1}], "2024-02": [{1}, {1}]}
    assert list(by_month(cases, ITEMS, chosen(("u", "a", 0), ("v", "b", 1)))) == []


def test_a_slice_is_measured_on_its_users_with_what_counts_there_on_the_lists_of_the_whole_task():
    tops = {"recsys": [np.array([0, 1]), np.array([3, 2])], "ease": [np.array([4, 1]), np.array([5, 4])]}
    found = measure_slice(Slice("item", "some", "", [frozenset([1]), frozenset()]), tops, AT)
    assert (found["users"], found["few"], found["model"], found["baseline"]) == (1, True, "recsys", "ease")
    # The smallest k of ndcg and the largest of recall; item 1 stands second in both lists.
    assert set(found["models"]["recsys"]) == {"ndcg@1", "ndcg@1_ci", "recall@2", "recall@2_ci"}
    assert [found["models"][model]["recall@2"] for model in tops] == [1.0, 1.0]
    assert found["paired"]["recall@2"]["difference"] == 0.0


@pytest.mark.parametrize(("users", "few"), [(49, True), (50, False)])
def test_with_fewer_than_50_users_a_slice_says_that_they_are_few(users: int, few: bool):
    tops = {"recsys": [np.array([0])] * users, "ease": [np.array([1])] * users}
    assert measure_slice(Slice("item", "", "", [frozenset([0])] * users), tops, AT)["few"] is few


def test_a_slice_without_users_has_no_figures():
    assert measure_slice(Slice("item", "", "", [frozenset()]), {"recsys": [np.array([0])]}, AT) is None


def test_the_slices_of_a_task_compare_ours_with_the_best_baseline():
    cases: list[Case] = [case_of("u", 0, history=[1]), case_of("v", 0, history=[1, 2])]
    tally = Tally(Yardstick(Evaluation(), np.zeros(6), np.eye(6)), {"all": cases})
    log = chosen(("u", "a", 0), ("v", "a", 0))
    assert slices_of(tally, "all", ITEMS, np.ones(6, np.int64), log) == []
    tally.add("popularity", "all", [np.array([1, 0])] * 2)
    tally.add("recsys", "all", [np.array([0, 1])] * 2)
    found = slices_of(tally, "all", ITEMS, np.ones(6, np.int64), log)
    assert [(part["name"], part["users"]) for part in found] == [
        ("light users", 1),
        ("medium users", 1),
        ("rare items", 2),
    ]
    assert [part["models"]["recsys"]["ndcg@10"] for part in found] == [1.0, 1.0, 1.0]
    assert all(part["baseline"] == "popularity" for part in found)
