from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from recsys.config import Config, load_config
from recsys.errors import DataError
from recsys.importing import import_tables
from recsys.init import init, write_project
from recsys.newconfig import start_of_test
from recsys.workspace import Workspace
from tests.recsys.project import write_as

SHOP = """SKU,Product_Name,Desc,colour,price
a,Apple,"Red, round",red,1.5
b,Bread,Brown,brown,2
"""
EVENTS = """VisitorID,asin,Event,TS
u,a,view,2024-01-01
u,a,view,2024-01-02
u,a,addtocart,2024-01-03
v,b,click,2024-01-10
v,b,transaction,2024-01-11
"""


def shop(folder: Path, events: str = EVENTS, items: str = SHOP, **more: str) -> dict[str, Path]:
    paths = {}
    for table, text in ({"items": items, "interactions": events} | more).items():
        paths[table] = folder / f"{table}.csv"
        paths[table].write_text(text)
    return paths


def started(folder: Path, **files: str) -> Config:
    return load_config(write_project(folder / "project", shop(folder, **files)))


def test_the_written_project_can_be_imported_as_it_is(tmp_path):
    config_path = write_project(tmp_path / "my shop", shop(tmp_path))
    workspace = Workspace.open(config_path)
    summary = import_tables(workspace)
    assert summary.tables["interactions"].kept == 5
    assert workspace.read_table("items").select("item_id", "title", "description", "price", "colour").rows() == [
        ("a", "Apple", "Red, round", 1.5, "red"),
        ("b", "Bread", "Brown", 2.0, "brown"),
    ]


def test_columns_are_found_by_their_usual_names_and_written_only_where_they_differ(tmp_path):
    config = started(tmp_path)
    assert config.columns["items"] == {"item_id": "SKU", "title": "Product_Name", "description": "Desc"}
    assert config.columns["interactions"] == {
        "user_id": "VisitorID",
        "item_id": "asin",
        "event_type": "Event",
        "timestamp": "TS",
    }
    assert config.source.items == "../items.csv"
    assert config.text.template == "{title}. {description}"


def test_each_event_type_gets_a_weight_and_purchases_and_clicks_are_the_labels(tmp_path):
    types = started(tmp_path).interaction_types
    assert {name: (kind.weight, kind.label) for name, kind in types.items()} == {
        "view": (0.2, False),
        "addtocart": (3.0, False),
        "click": (1.0, True),
        "transaction": (5.0, True),
    }


def test_types_that_are_neither_purchase_nor_click_are_all_labels(tmp_path):
    rows = [f"u,a,{kind},2024-01-0{day}" for day, kind in enumerate(("play", "wishlist", "remove from cart"), start=1)]
    types = started(tmp_path, events="\n".join(["user,item,type,date", *rows])).interaction_types
    assert {name: (kind.weight, kind.label) for name, kind in types.items()} == {
        "play": (1.0, True),
        "wishlist": (2.0, True),
        "remove from cart": (1.0, True),
    }


def test_interactions_without_a_type_have_one_that_is_the_label(tmp_path):
    paths = shop(tmp_path, events="user,item,date\nu,a,2024-01-01\nu,b,2024-02-01\n")
    workspace = Workspace.open(write_project(tmp_path / "project", paths))
    assert workspace.config.label_types == ("interaction",)
    import_tables(workspace)
    assert workspace.read_table("interactions")["event_type"].to_list() == ["interaction"] * 2


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "start"),
    [
        (utc(2024, 1, 1, 6), utc(2024, 12, 31, 18), utc(2024, 12, 17)),
        (utc(2024, 1, 1), utc(2024, 1, 11, 12), utc(2024, 1, 9)),
        (utc(2024, 1, 1, 10), utc(2024, 1, 1, 20), utc(2024, 1, 1, 18)),
        (utc(2024, 1, 1), utc(2024, 1, 1), None),
    ],
)
def test_the_test_starts_14_days_or_a_fifth_before_the_end_at_midnight_where_that_is_possible(first, last, start):
    assert start_of_test(first, last) == start


def test_the_split_is_written_and_the_validation_fits_before_it(tmp_path):
    config = started(tmp_path)
    assert config.split.test_start == utc(2024, 1, 9)
    assert config.split.validation_days == 2


def test_a_project_is_not_overwritten_without_force(tmp_path):
    paths = shop(tmp_path)
    target = write_project(tmp_path, paths)
    target.write_text("mine")
    with pytest.raises(DataError, match=r"there is a project already; pass --force"):
        write_project(tmp_path, paths)
    assert target.read_text() == "mine"
    write_project(tmp_path, paths, force=True)
    assert load_config(target).source.items == "items.csv"


def test_a_required_column_that_cannot_be_found_is_an_error_that_says_how_to_name_it(tmp_path):
    paths = shop(tmp_path, events="who,item,date\nu,a,2024-01-01\nu,a,2024-01-02\n")
    message = r"found the columns \['who', 'item', 'date'\], none of them looks like user_id; .*--column interactions"
    with pytest.raises(DataError, match=message):
        write_project(tmp_path / "project", paths)
    assert not (tmp_path / "project").exists()
    arguments = [str(tmp_path / "project"), "--interactions", str(paths["interactions"])]
    result = CliRunner().invoke(init, [*arguments, "--column", "interactions.user_id=who"])
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "project" / "recsys.toml").columns["interactions"]["user_id"] == "who"
    for wrong in ("user_id=who", "interactions.user_id=whom"):
        result = CliRunner().invoke(init, [*arguments, "--force", "--column", wrong])
        assert isinstance(result.exception, DataError)


def test_a_column_that_cannot_be_read_as_what_its_name_says_is_passed_over_or_an_error(tmp_path):
    events = "user,item,time,date,amount\nu,a,noon,2024-01-01,2 pounds\nu,a,noon,2024-01-02,3 pounds\n"
    config = started(tmp_path, events=events)
    assert config.columns["interactions"]["timestamp"] == "date"
    assert "value" not in config.columns["interactions"]
    for table, text in (("events", "user,item,date\nu,a,1/12/2010\n"), ("items", "sku,title,price\na,A,$1\n")):
        with pytest.raises(DataError, match=r"has '(1/12/2010|\$1)', which cannot be read as (timestamp|price)"):
            write_project(tmp_path / "other", shop(tmp_path, **{table: text}))


def test_a_column_of_many_values_is_no_event_type(tmp_path):
    rows = [f"u,a,e{number},2024-01-01" for number in range(60)]
    with pytest.raises(DataError, match="'type' holds more than 50 values"):
        write_project(tmp_path / "project", shop(tmp_path, events="\n".join(["user,item,type,date", *rows])))


def test_interactions_without_a_row_are_an_error(tmp_path):
    with pytest.raises(DataError, match="no row has a timestamp in 'date'"):
        write_project(tmp_path / "project", shop(tmp_path, events="user,item,type,date\n"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_folders_of_typed_files_with_impressions_and_users_are_understood_too(tmp_path, kind):
    tables = {
        "items": pl.DataFrame({"id": [1, 2], "name": ["A", "B"], "brand": [7, 8], "category": ["x", "y"]}),
        "interactions": pl.DataFrame({"uid": [1, 1], "item": [1, 2], "unixtime": [1_700_000_000, 1_700_500_000]}),
        "impressions": pl.DataFrame({"id": ["r"], "uid": [1], "ts": [1_700_000_000_000], "products": [[1, 2]]}),
        "users": pl.DataFrame({"id": [1], "country": ["FR"]}),
    }
    paths = {table: tmp_path / table for table in tables}
    for table, rows in tables.items():
        paths[table].mkdir()
        write_as(rows, paths[table] / f"part.{kind}")
    workspace = Workspace.open(write_project(tmp_path / "project", paths))
    assert workspace.config.text.template == "{title}. {category}"
    summary = import_tables(workspace)
    assert sum(counts.refused.total() for counts in summary.tables.values()) == 0
    assert workspace.read_table("impressions")["items"].to_list() == [["1", "2"]]


def test_every_key_of_the_written_file_has_a_comment(tmp_path):
    text = write_project(tmp_path / "project", shop(tmp_path)).read_text()
    for key in (
        "name",
        "max_bad_share",
        "[interaction_types]",
        "template",
        "max_tokens",
        "test_start",
        "validation_days",
    ):
        lines = text.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith(key))
        assert lines[at - 1].startswith("# "), key
