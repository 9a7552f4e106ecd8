import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsys.errors import DataError
from recsys.importing import import_command, import_tables
from recsys.sources import jsonlines
from recsys.workspace import Workspace
from tests.recsys.project import column, project_of, quarantined, refusals

# The examples of Metarank's "Supported events".
ITEM = """{"event": "item", "id": "81f46c34-a4bb-469c-8708-f8127cd67d27", "timestamp": "1599391467000", "item": "item1",
 "fields": [{"name": "title", "value": "You favourite cat"}, {"name": "color", "value": ["white", "black"]},
 {"name": "is_cute", "value": true}]}"""
USER = """{"event": "user", "id": "81f46c34-a4bb-469c-8708-f8127cd67d27", "timestamp": "1599391467000",
 "user": "user1", "fields": [{"name": "age", "value": 33}, {"name": "gender", "value": "m"}]}"""
RANKING = """{"event": "ranking", "id": "81f46c34-a4bb-469c-8708-f8127cd67d27", "timestamp": "1599391467000",
 "user": "user1", "session": "session1", "fields": [{"name": "query", "value": "cat"},
 {"name": "source", "value": "search"}], "items": [{"id": "item3", "relevancy": 2.0}, {"id": "item1",
 "relevancy": 1.0}, {"id": "item2", "relevancy": 0.5}]}"""
INTERACTION = """{"event": "interaction", "id": "0f4c0036-04fb-4409-b2c6-7163a59f6b7d",
 "ranking": "81f46c34-a4bb-469c-8708-f8127cd67d27", "timestamp": "1599391467000", "user": "user1",
 "session": "session1", "type": "purchase", "item": "item1", "fields": [{"name": "count", "value": 1},
 {"name": "shipping", "value": "DHL"}]}"""
START = datetime(2020, 9, 6, 11, 24, 27, tzinfo=UTC)


def lines(*events: str | dict[str, Any]) -> bytes:
    texts = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return "".join(text.replace("\n", "") + "\n" for text in texts).encode()


def metarank(root: Path, *events: str | dict[str, Any], more: str = "") -> Workspace:
    (root / "events.jsonl").write_bytes(lines(*events))
    return project_of(root, {"format": "metarank", "interactions": "events.jsonl"}, more=more)


def item(key: str, at: int, **fields: Any) -> dict[str, Any]:
    told = [{"name": name, "value": value} for name, value in fields.items()]
    return {"event": "item", "id": "e", "timestamp": 1599391467000 + at, "item": key, "fields": told}


def user(key: str, **fields: Any) -> dict[str, Any]:
    told = [{"name": name, "value": value} for name, value in fields.items()]
    return {"event": "user", "id": "e", "timestamp": "1599391467000", "user": key, "fields": told}


def test_the_documented_events_are_imported_out_of_a_compressed_file(tmp_path):
    (tmp_path / "events.jsonl.gz").write_bytes(gzip.compress(lines(ITEM, USER, RANKING, INTERACTION)))
    workspace = project_of(tmp_path, {"format": "metarank", "interactions": "events.jsonl.gz"})
    result = CliRunner().invoke(import_command, ["--config", str(tmp_path / "recsys.toml")])
    assert result.exit_code == 0, result.output
    items = workspace.read_table("items").select("item_id", "title", "color", "is_cute", "updated_at")
    assert items.rows() == [("item1", "You favourite cat", "white, black", True, START)]
    assert workspace.read_table("users").rows() == [("user1", 33, "m")]
    request = "81f46c34-a4bb-469c-8708-f8127cd67d27"
    impressions = workspace.read_table("impressions").select("request_id", "user_id", "timestamp", "items", "query")
    assert impressions.rows() == [(request, "user1", START, ["item3", "item1", "item2"], "cat")]
    assert workspace.read_table("interactions").row(0, named=True) == {
        "user_id": "user1",
        "item_id": "item1",
        "event_type": "purchase",
        "timestamp": START,
        "event_id": "0f4c0036-04fb-4409-b2c6-7163a59f6b7d",
        "request_id": request,
        "value": None,
        "query": None,
    }


def test_each_event_that_changes_an_item_makes_a_version_of_all_its_fields(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonlines, "BLOCK_BYTES", 16)
    workspace = metarank(
        tmp_path,
        item("item1", 0, title="Cat", price=2),
        item("item1", 0, price=3),
        item("item1", 5, price=3),
        item("item1", 9, title="Old cat"),
        INTERACTION,
    )
    summary = import_tables(workspace)
    assert workspace.read_table("items").select("title", "price", "updated_at").rows() == [
        ("Cat", 2.0, START),
        # The second event is of the same moment as the first.
        ("Cat", 3.0, START + timedelta(microseconds=1)),
        ("Old cat", 3.0, START + timedelta(milliseconds=9)),
    ]
    assert dict(summary.tables["items"].cleaned) == {"tells nothing new of the item": 1}
    assert summary.tables["items"].read == 4


def test_of_a_user_stays_what_was_told_last(tmp_path):
    workspace = metarank(tmp_path, user("u", age=33, city="Paris"), user("v"), user("u", age=34), ITEM, INTERACTION)
    summary = import_tables(workspace)
    assert workspace.read_table("users").rows() == [("u", 34, "Paris"), ("v", None, None)]
    counts = summary.tables["users"]
    assert (counts.read, counts.kept, dict(counts.cleaned)) == (3, 2, {"told of the user before": 1})


def test_a_session_stands_for_the_user_whom_nobody_knows(tmp_path):
    event = json.loads(INTERACTION)
    del event["user"]
    workspace = metarank(tmp_path, ITEM, event)
    import_tables(workspace)
    assert column(workspace, "interactions", "user_id") == ["session1"]


def test_columns_say_which_field_is_what(tmp_path):
    more = '[columns.items]\ntitle = "name"\n[columns.interactions]\nvalue = "revenue"'
    event = json.loads(INTERACTION) | {"fields": [{"name": "revenue", "value": 9.5}]}
    events = [item("item1", 0, name="Cat"), event]
    workspace = metarank(tmp_path, *events, more=more)
    import_tables(workspace)
    assert column(workspace, "items", "title") == ["Cat"]
    assert column(workspace, "interactions", "value") == [9.5]
    with pytest.raises(DataError, match=r"found the columns \['name', 'item_id', 'updated_at'\], expected 'title'"):
        import_tables(metarank(tmp_path, *events))


def test_broken_events_are_put_aside_with_their_lines(tmp_path):
    ranking, interaction = json.loads(RANKING), json.loads(INTERACTION)
    workspace = metarank(
        tmp_path,
        ITEM,
        USER,
        RANKING,
        INTERACTION,
        '{"event": "item", ',
        {"event": "metadata", "id": "1"},
        interaction | {"id": "2", "type": "swipe"},
        interaction | {"id": "3", "item": "dog"},
        interaction | {"id": "4", "fields": {"count": 1}},
        ranking | {"id": "5", "items": [{"item": "item1"}]},
        ranking | {"id": "6", "items": []},
        ranking | {"id": "7", "items": [{"id": "item1"}, {"id": None}]},
        item("item2", 0, color="red"),
        json.loads(ITEM) | {"timestamp": "soon"},
        json.loads(ITEM) | {"item": " "},
        json.loads(ITEM) | {"timestamp": None},
        user(""),
        interaction,
    )
    import_tables(workspace)
    found = refusals(workspace, "interactions")
    assert found[0][0] == 5
    assert found[0][1].startswith("broken JSON: ")
    assert found[1:] == [
        (6, "no event of Metarank: 'metadata', expected one of item, user, ranking, interaction"),
        (7, "unknown event_type"),
        (8, "unknown item_id"),
        (9, "unreadable fields: expected a list of objects with name and value"),
        (18, "duplicate event_id"),
    ]
    assert refusals(workspace, "impressions") == [
        (10, "unreadable items: expected a list of objects with id"),
        (11, "empty items"),
        (12, "blank id in items"),
    ]
    assert refusals(workspace, "items") == [
        (13, "missing title"),
        (14, "unreadable updated_at"),
        (15, "missing item_id"),
        (16, "missing timestamp"),
    ]
    assert refusals(workspace, "users") == [(17, "missing user_id")]
    assert json.loads(quarantined(workspace, "interactions")[1]["row"]) == {"event": "metadata", "id": "1"}
    assert column(workspace, "interactions", "event_id") == ["0f4c0036-04fb-4409-b2c6-7163a59f6b7d"]


def test_a_log_of_interactions_alone_has_items_of_no_text(tmp_path):
    workspace = metarank(tmp_path, INTERACTION)
    assert list(import_tables(workspace).tables) == ["interactions"]
    assert workspace.read_table("items").select("item_id", "title").rows() == [("item1", "item1")]
