from collections.abc import Sequence

import numpy as np
import pytest

from recsys.retrieval.similar import SIMILAR, ItemQuery, retrieve_similar
from tests.recsys.retrieval.states import items

NEVER = -np.inf
# 0 and 1 are alike, 2 is a little like 0, 3 is its opposite, and 4 has no text.
VECTORS = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0], [0, 0]], dtype=np.float32)


def asked(item: int, *, exclude: Sequence[int] = (), **pairs: Sequence) -> ItemQuery:
    mask = np.zeros(len(VECTORS), dtype=np.bool_)
    mask[list(exclude)] = True
    return ItemQuery(item, items([1.0] * len(VECTORS), **pairs), VECTORS, mask)


def weights(**of_items: float) -> np.ndarray:
    """What item 0 has for others, named i1, i2, …"""
    matrix = np.zeros((len(VECTORS), len(VECTORS)))
    for name, weight in of_items.items():
        matrix[0, int(name.removeprefix("i"))] = weight
    return matrix


def test_by_text_items_have_the_cosine_and_those_that_have_nothing_in_common_are_not_similar():
    assert SIMILAR["text"](asked(0)) == pytest.approx([1, 0.8, 0.6, NEVER, NEVER])
    assert SIMILAR["text"](asked(4)).tolist() == [NEVER] * 5


def test_by_behaviour_items_have_what_speaks_for_them():
    query = asked(0, neighbours=weights(i2=0.5, i4=2), regression=weights(i1=-1, i3=0.25))
    assert SIMILAR["cooccurrence"](query).tolist() == [NEVER, NEVER, 0.5, NEVER, 2]
    assert SIMILAR["regression"](query).tolist() == [NEVER, NEVER, NEVER, 0.25, NEVER]


def test_what_several_agree_on_comes_first_and_says_by_what():
    found = retrieve_similar(asked(0, neighbours=weights(i2=1), regression=weights(i2=1, i4=3)), limit=5)
    # 2: 1/121 + 1/120 + 1/121. 1: 1/120 by text. 4: 1/120 by the regression.
    assert found.positions.tolist() == [2, 1, 4]
    by = [found.provenance(at) for at in range(3)]
    assert by == [("text", "cooccurrence", "regression"), ("text",), ("regression",)]


def test_the_item_itself_and_what_is_excluded_are_never_similar():
    query = asked(0, exclude=[1], neighbours=weights(i0=9, i1=8, i3=1))
    assert retrieve_similar(query, limit=5).positions.tolist() == [2, 3]
    assert query.exclude.tolist() == [False, True, False, False, False]


def test_an_item_that_nothing_is_known_of_has_none_like_it():
    assert len(retrieve_similar(asked(4), limit=5)) == 0


def test_no_more_than_the_limit_are_similar():
    assert retrieve_similar(asked(0), limit=1).positions.tolist() == [1]
