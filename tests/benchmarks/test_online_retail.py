from datetime import UTC, datetime

import numpy as np

from benchmarks.online_retail import ColdItems, OnlineRetail
from tests.training.project import at, catalogue_of, chosen

ITEMS = [f"i{number}" for number in range(10)]


def test_only_cold_items_are_ranked_against_a_history_without_them():
    # Of ten items one is cold: the first of the permutation, item 4.
    data = OnlineRetail(
        chosen(("u", "i0", 1), ("u", "i1", 2), ("u", "i4", 11), ("v", "i4", 3), ("v", "i4", 12), ("w", "i4", 13)),
        catalogue_of(*ITEMS),
        at(10),
    )
    cold = ColdItems(data)
    # v had the item before, of w nothing was known.
    assert len(cold) == 1
    assert cold.ndcg(np.eye(10, dtype=np.float32)) == 1.0


def test_a_history_has_the_latest_first_and_nothing_from_the_cut_on():
    rows = [("u", "i0", 1), ("u", "i1", 2), ("u", "i0", 3), ("u", "i2", 10)]
    data = OnlineRetail(chosen(*rows), catalogue_of(*ITEMS), at(10))
    assert {user: items.tolist() for user, items in data.histories().items()} == {"u": [0, 1]}


def test_the_example_is_imported_as_the_protocol_says(tmp_path):
    data = OnlineRetail.imported(tmp_path)
    assert len(data.texts) == 3659
    assert data.cut == datetime(2011, 11, 25, tzinfo=UTC)
    assert len(ColdItems(data)) == 461
