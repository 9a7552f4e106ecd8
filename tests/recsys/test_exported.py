"""The source of a project with what its event log exported behind it."""

from pathlib import Path

import polars as pl

from recsys.config import Source as SourceConfig
from recsys.sources.exported import WithExported
from recsys.sources.opening import open_source

ITEM = {"item_id": ["c"], "title": ["Cake"], "colour": ["red"]}
CLICK = {"user_id": ["u"], "item_id": ["a"], "event_type": ["click"], "timestamp": ["2024-05-01"]}


def export(folder: Path, table: str, rows: dict[str, list[str]], *, day: str = "2024-05-01") -> None:
    path = folder / "log" / table / f"day={day}" / "1.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(path)


def opened(folder: Path, columns: dict[str, dict[str, str]] | None = None, **paths: str) -> WithExported:
    source = open_source(folder, SourceConfig(**paths))
    return WithExported.of(folder, folder / "log", source, columns or {})


def test_what_was_not_exported_yet_is_not_there(tmp_path):
    (tmp_path / "x.csv").write_text("user_id\nu\n")
    found = opened(tmp_path, interactions="x.csv")
    assert found.tables() == ("interactions",)
    assert {chunk.file for chunk in found.chunks("interactions")} == {"x.csv"}


def test_a_table_that_only_the_log_has_is_one_of_the_source(tmp_path):
    (tmp_path / "x.csv").write_text("user_id\nu\n")
    export(tmp_path, "impressions", {"request_id": ["r"]})
    found = opened(tmp_path, interactions="x.csv")
    assert found.tables() == ("interactions", "impressions")
    assert found.size("impressions") > 0
    [chunk] = found.chunks("impressions")
    assert chunk.rows["request_id"].to_list() == ["r"]


def test_rows_of_the_log_come_last_day_by_day(tmp_path):
    (tmp_path / "x.csv").write_text("user_id\nfirst\n")
    export(tmp_path, "interactions", CLICK | {"user_id": ["third"]}, day="2024-05-02")
    export(tmp_path, "interactions", CLICK | {"user_id": ["second"]})
    chunks = opened(tmp_path, interactions="x.csv").chunks("interactions")
    assert [user for chunk in chunks for user in chunk.rows["user_id"]] == ["first", "second", "third"]


def test_items_of_the_log_are_left_out_where_the_source_says_nothing_of_items(tmp_path):
    # With them, the items would be those of the log alone, and interactions with all others refused.
    (tmp_path / "x.csv").write_text("user_id\nu\n")
    export(tmp_path, "items", ITEM)
    assert opened(tmp_path, interactions="x.csv").tables() == ("interactions",)


def test_columns_have_the_names_of_the_source_and_attributes_of_such_a_name_give_way(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,colour\na,Apple\n")
    export(tmp_path, "items", ITEM)
    found = opened(tmp_path, {"items": {"title": "colour"}}, items="items.csv")
    *_, last = found.chunks("items")
    assert last.rows.to_dicts() == [{"item_id": "c", "colour": "Cake"}]


def test_values_are_as_typed_as_those_of_the_source(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title\na,Apple\n")
    pl.DataFrame({"item_id": ["b"], "title": ["Bread"]}).write_parquet(tmp_path / "items.parquet")
    export(tmp_path, "items", ITEM)
    for name, typed in (("items.csv", False), ("items.parquet", True)):
        assert {chunk.typed for chunk in opened(tmp_path, items=name).chunks("items")} == {typed}
