from datetime import datetime

import polars as pl
import pytest

from features.store import BehaviourStore
from tests.training.project import FEATURES, WEIGHTS, at, catalogue_of, chosen
from training.windows import Window, open_window

CATALOGUE = catalogue_of("a", "b", "c", "d")
START, END = at(10), at(12)
# v comes before u in the log, w has no past, x no later choice.
INTERACTIONS = pl.concat(
    [
        chosen(("v", "a", 1), ("u", "b", 2), ("u", "a", 3), ("x", "a", 4)),
        chosen(("v", "c", 10), ("u", "b", 10.5), ("w", "a", 11), ("u", "gone", 11)),
        chosen(("u", "c", 10.1), ("u", "b", 10.2), ("v", "d", 11), event_type="view"),
        chosen(("u", "d", 12), ("v", "b", 11.9)),
    ]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BehaviourStore:
    store = BehaviourStore(tmp_path_factory.mktemp("features"), FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [START])
    return store


def opened(store: BehaviourStore, *, end: datetime | None = END, **label_weights: float) -> Window:
    return open_window(
        store, CATALOGUE, INTERACTIONS, start=START, end=end, label_weights=label_weights or {"purchase": 1.0}
    )


def test_labels_are_what_known_users_chose_from_the_start_to_before_the_end(store):
    window = opened(store)
    assert window.users == ["u", "v"]
    assert window.labels == [{1: 1.0}, {1: 1.0, 2: 1.0}]


def test_without_an_end_all_that_follows_counts(store):
    assert opened(store, end=None).labels == [{1: 1.0, 3: 1.0}, {1: 1.0, 2: 1.0}]


def test_an_item_chosen_in_several_ways_has_the_weight_of_the_strongest(store):
    assert opened(store, view=0.2, purchase=1.0).labels == [{1: 1.0, 2: 0.2}, {1: 1.0, 2: 1.0, 3: 0.2}]
    assert opened(store, view=2.0).labels == [{1: 2.0, 2: 2.0}, {3: 2.0}]


def test_states_are_what_was_known_at_the_start(store):
    window = opened(store)
    assert [state.history.tolist() for state in window.states] == [[0, 1], [0]]
    assert window.items.now == START.timestamp()
    assert window.items.column("users")[:2].tolist() == [3, 1]


def test_a_window_in_which_nothing_was_chosen_has_no_users(store):
    window = opened(store, swipe=1.0)
    assert (window.users, window.states, window.labels) == ([], [], [])
