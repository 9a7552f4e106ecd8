from dataclasses import replace

import numpy as np
import pytest

from recsys.state import Affinity, Recent
from tests.features.families.cases import CUP, ITEMS, JAM, NEW, NOBODY, TEA, USER, rows_of
from tests.features.log import seconds

DRINK, DISH, UNKNOWN = 0, 1, -1
SORTED = replace(ITEMS, categories=np.array([DRINK, DISH, DRINK, UNKNOWN]))  # tea, cup, jam, new
# A quarter of the interest is in a category that the catalogue no longer has.
FOND = replace(USER, affinity=Affinity(np.array([DRINK, UNKNOWN]), np.array([6.0, 2.0])))


def values(name: str, user=FOND, items=SORTED) -> list[float]:
    return [row[name] for row in rows_of([TEA, CUP, JAM, NEW], user=user, items=items)]


def test_the_category_of_a_candidate_has_a_share_of_all_interest_of_the_user():
    assert values("category_affinity") == pytest.approx([0.75, 0, 0.75, np.nan], nan_ok=True)


def test_the_category_of_a_candidate_has_a_share_of_the_events_of_the_session():
    recent = Recent(np.array([CUP, TEA, -1, NEW, TEA]), np.full(5, "view"), seconds(100) - np.array([1, 2, 3, 4, 9e3]))
    # Of four events one was with a dish and one with a drink; the last was in an earlier session.
    found = values("session_category_share", user=replace(FOND, recent=recent))
    assert found == pytest.approx([0.25, 0.25, 0.25, np.nan], nan_ok=True)


def test_without_a_session_or_an_interest_nothing_is_known_of_categories():
    assert np.isnan(values("session_category_share")).all()
    assert np.isnan(values("category_affinity", user=NOBODY)).all()


def test_without_categories_nothing_is_known_of_them():
    assert np.isnan(values("category_affinity", items=ITEMS)).all()
    assert np.isnan(values("session_category_share", items=ITEMS)).all()
