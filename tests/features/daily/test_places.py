import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.daily.places import Places

# The last two have their first 24 bits in common.
KEYS = [0, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]


@given(st.lists(st.sampled_from(KEYS), max_size=20), st.permutations(KEYS))
def test_an_item_is_put_where_its_key_stands(wanted, keys):
    rows = pl.DataFrame({"item_key": pl.Series(wanted, dtype=pl.UInt64), "row": range(len(wanted))})
    found = Places(pl.Series(keys, dtype=pl.UInt64)).put(rows)
    assert found["item_key"].to_list() == [keys.index(key) for key in wanted]
    assert found["row"].to_list() == list(range(len(wanted)))


@pytest.mark.parametrize("keys", [[], [5]])
def test_no_rows_have_no_places(keys):
    found = Places(pl.Series(keys, dtype=pl.UInt64)).put(pl.DataFrame(schema={"item_key": pl.UInt64}))
    assert found.schema == {"item_key": pl.UInt32}
