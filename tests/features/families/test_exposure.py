from dataclasses import replace

import numpy as np
import pytest

from features.families.exposure import PRIOR_SHOWN
from recsys.exposure import Exposure
from tests.features.families.cases import CUP, FEATURES, ITEMS, JAM, NEW, TEA, family_of, rows_of

# In the order of the columns: shown in 7 and in 28 days, of the latter those that led to a purchase and to a view.
COUNTS = np.array([[10.0, 50.0, 5.0, 20.0], [0.0, 150.0, 5.0, 0.0], *np.zeros((2, 4))])
SHOWN = replace(ITEMS, exposure=Exposure.of(FEATURES.exposure_columns, COUNTS))


def exposures(items) -> list[dict[str, float]]:
    rows = rows_of([TEA, CUP, JAM, NEW], items=items)
    return [family_of("item_shown", row) | family_of("item_ctr", row) for row in rows]


def test_rates_are_drawn_to_that_of_all_items_by_fifty_impressions():
    assert PRIOR_SHOWN == 50
    tea, cup, jam, _ = exposures(SHOWN)
    # Of 200 impressions 10 led to a purchase and 20 to a view: 50 more at 0.05 and 0.1.
    assert tea == pytest.approx({"_7d": 10, "_28d": 50, "_purchase_28d": 7.5 / 100, "_view_28d": 25 / 100})
    assert cup == pytest.approx({"_7d": 0, "_28d": 150, "_purchase_28d": 7.5 / 200, "_view_28d": 5 / 200})
    assert jam == pytest.approx({"_7d": 0, "_28d": 0, "_purchase_28d": 0.05, "_view_28d": 0.1})


@pytest.mark.parametrize("exposure", [None, Exposure.of(FEATURES.exposure_columns, np.full((4, 4), np.nan))])
def test_where_nothing_was_shown_nothing_is_known(exposure):
    assert all(np.isnan(list(row.values())).all() for row in exposures(replace(ITEMS, exposure=exposure)))
