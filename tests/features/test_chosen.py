import numpy as np
import polars as pl
import pytest

from features.chosen import chosen_matrix
from features.views import WEIGHT
from tests.features.log import catalogue_of, day, log

AS_OF = day(400)
LOG = log(
    ("bob", "b", 390), ("ann", "a", 380), ("ann", "c", 385), ("ann", "a", 390), ("bob", "?", 395), ("cat", "a", 400)
)


def test_a_row_is_a_user_by_id_and_interest_halves_with_the_last_interaction_before_the_moment():
    found = chosen_matrix(LOG, catalogue_of("abc"), AS_OF, pl.lit(2.0), half_life_days=10)
    expected = [[1.0, 0.0, 2 * 0.5**1.5], [0.0, 1.0, 0.0]]
    assert found.toarray() == pytest.approx(np.array(expected))


def test_the_order_of_the_log_changes_nothing():
    interest = pl.col(WEIGHT).max()
    found, turned = (
        chosen_matrix(rows, catalogue_of("abc"), AS_OF, interest, half_life_days=10).toarray().tobytes()
        for rows in (LOG, LOG.reverse())
    )
    assert found == turned
