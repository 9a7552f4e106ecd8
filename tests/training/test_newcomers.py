from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import polars as pl

from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.state import UserState
from tests.training.project import at, catalogue_of, chosen, config_of, user_of
from training import newcomers as module
from training.newcomers import cases_of_newcomers, measure_newcomers


@dataclass
class Store:
    """Users about whom nothing is known but an attribute; counts how many were read."""

    attribute_of: dict[str, float] = field(default_factory=dict)
    read: int = 0

    def users_at(self, users: Sequence[str], catalogue: Catalogue, moment: datetime) -> list[UserState]:
        self.read += len(users)
        of = self.attribute_of
        return [replace(user_of({}), attributes=np.array([of[user]]) if user in of else None) for user in users]


@dataclass
class Shop:
    """As much of a pipeline as newcomers need."""

    store: Store = field(default_factory=Store)
    users: pl.DataFrame | None = None
    catalogue: Catalogue = field(default_factory=lambda: catalogue_of(*"abcd"))
    cut: datetime = field(default_factory=lambda: at(10))
    config: Config = field(default_factory=config_of)


KNOWN = chosen(("old", "a", 0))
LATER = chosen(("old", "b", 11), ("nina", "c", 11), ("nina", "b", 12), ("bob", "a", 12), ("bob", "unlisted", 12))


def test_newcomers_chose_something_after_the_cut_and_had_done_nothing_before():
    shop = Shop()
    found = cases_of_newcomers(shop, KNOWN, LATER)
    assert [(case.user_id, case.relevant) for case in found] == [("bob", {0}), ("nina", {1, 2})]
    assert not found[0].exclude.any()
    assert len(found[0].user.history) == 0
    assert shop.store.read == 1


def test_no_more_newcomers_than_needed_are_measured(monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    assert [case.user_id for case in cases_of_newcomers(Shop(), KNOWN, LATER)] == ["bob"]


def test_one_list_a_kind_of_user_is_made_and_every_newcomer_is_measured_on_it():
    asked = []

    def rank(cases):
        asked.append([case.user_id for case in cases])
        return [np.array([2, 1]) for case in cases]

    (figures,) = measure_newcomers(Shop(), KNOWN, LATER, rank, np.array([9.0, 3, 2, 1]))
    assert asked == [["bob"]]
    assert (figures["name"], figures["users"], figures["few"]) == ("new users", 2, True)
    assert figures["models"]["recsys"]["recall@100"] == 0.5  # nothing of bob's, all of nina's
    assert figures["models"]["popularity"]["recall@100"] == 1.0


def test_newcomers_of_other_attributes_have_a_list_of_their_own():
    people = pl.DataFrame({"user_id": ["bob", "nina"]})
    shop = Shop(Store({"bob": 20.0, "nina": 60.0}), people)
    lists = {20.0: np.array([0]), 60.0: np.array([3])}
    (figures,) = measure_newcomers(
        shop, KNOWN, LATER, lambda cases: [lists[case.user.attributes[0]] for case in cases], np.zeros(4)
    )
    assert figures["models"]["recsys"]["recall@100"] == 0.5  # bob's is found, nina's are not
    assert shop.store.read == 2


def test_without_newcomers_there_is_no_slice_of_them():
    assert measure_newcomers(Shop(), KNOWN, KNOWN, lambda cases: [], np.zeros(4)) == []
