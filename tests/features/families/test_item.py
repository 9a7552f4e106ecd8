import numpy as np
import pytest

from tests.features.families.cases import NEW, NOBODY, TEA, TEA_BEHAVIOUR, family_of, row_of

MADE_OF_IT = {
    "repeat_share": 0.25,  # 10 of 40 users
    "again_28d": pytest.approx(4.5 / 42),  # of 32 earlier users 4
    "new_share_28d": pytest.approx(8 / 13),
    "value_mean": 6,  # 300 / 50
    "age_days": 89,  # from day 11 to day 100
    "idle_days": 2,
    "trend": 1.0,  # (3 + 1) / (12 / 4 + 1)
}
HELD = {
    name: value for name, value in TEA_BEHAVIOUR.items() if name.startswith(("users", "count", "occ", "weight", "new"))
}


@pytest.mark.parametrize("user", [None, NOBODY], ids=["a known user", "a user never seen"])
def test_what_is_held_of_an_item_comes_first_and_then_what_is_made_of_it_whoever_asks(user):
    found = family_of("item_", row_of(TEA) if user is None else row_of(TEA, user=user))
    found = {name: value for name, value in found.items() if not name.startswith(("shown", "ctr"))}
    assert found == HELD | MADE_OF_IT
    assert list(found) == [*HELD, *MADE_OF_IT]


def test_nothing_is_known_of_an_item_that_nobody_chose():
    assert np.isnan(list(family_of("item_", row_of(NEW)).values())).all()
