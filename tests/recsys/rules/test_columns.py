from datetime import UTC, date, datetime

import polars as pl

from recsys.rules.columns import of_rows, of_table, types_of

ITEMS = pl.DataFrame(
    {
        "item_id": ["a"],
        "stock": [3],
        "price": [2.5],
        "hidden": [True],
        "since": [date(2024, 5, 1)],
        "shade": pl.Series(["red"], dtype=pl.Categorical),
    }
)


def test_an_item_that_is_sent_has_the_columns_that_it_would_have_in_the_table():
    types = types_of(ITEMS)
    sent = {"item_id": "a", "stock": 3, "price": "2.5", "hidden": True, "since": "2024-05-01", "shade": "red"}
    assert of_rows([sent], types).equals(of_table(ITEMS, types))
    assert of_table(ITEMS, types).row(0, named=True)["since"] == datetime(2024, 5, 1, tzinfo=UTC)


def test_a_column_that_only_the_schema_knows_is_there_and_empty():
    types = types_of(ITEMS)
    assert of_table(ITEMS, types)["brand"].to_list() == [None]
    assert of_rows([{"brand": "b"}], types)["brand"].to_list() == ["b"]


def test_what_cannot_be_read_is_not_known_and_costs_nothing_else():
    types = types_of(ITEMS)
    rows = [{"stock": "many", "hidden": "perhaps", "since": [1], "shade": {"a": 1}}, {"stock": 4, "hidden": " False "}]
    found = of_rows(rows, types)
    assert found.select("stock", "hidden", "since").rows() == [(None, None, None), (4.0, False, None)]
    assert found["item_id"].to_list() == [None, None]
