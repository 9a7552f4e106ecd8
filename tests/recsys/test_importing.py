import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys.errors import ConfigError, DataError
from recsys.importing import import_tables
from recsys.importsummary import TooManyBadRows
from recsys.schema import UTC_MICROSECONDS, columns_of
from recsys.workspace import Workspace
from tests.recsys.project import (
    ITEMS,
    NOON,
    column,
    interactions,
    project,
    project_of,
    quarantined,
    refusals,
    write_as,
)

WITH_ID = "user_id,item_id,event_type,timestamp,event_id"


def test_good_rows_become_tables_with_every_column_of_the_schema(tmp_path):
    workspace = project(tmp_path, items=ITEMS, interactions=interactions(f"u,a,view,{NOON}"))
    summary = import_tables(workspace)
    assert summary.tables["interactions"].kept == 1
    for table in ("items", "interactions"):
        assert workspace.read_table(table).schema == pl.Schema(columns_of(table))
    row = workspace.read_table("interactions").drop("event_id").row(0, named=True)
    assert row == {
        "user_id": "u",
        "item_id": "a",
        "event_type": "view",
        "timestamp": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "request_id": None,
        "value": None,
        "query": None,
    }


def test_interactions_are_in_the_order_of_time_and_equal_times_in_that_of_the_file(tmp_path):
    rows = [f"u{user},a,view,2024-05-0{day}" for user, day in ((1, 3), (2, 1), (3, 3), (4, 1))]
    workspace = project(tmp_path, items=ITEMS, interactions=interactions(*rows))
    import_tables(workspace)
    assert column(workspace, "interactions", "user_id") == ["u2", "u4", "u1", "u3"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f",a,view,{NOON},,,", "missing user_id"),
        (f"  ,a,view,{NOON},,,", "missing user_id"),
        (f"u,,view,{NOON},,,", "missing item_id"),
        (f"u,a,,{NOON},,,", "missing event_type"),
        ("u,a,view,,,,", "missing timestamp"),
        ("u,a,view,yesterday,,,", "unreadable timestamp"),
        (f"u,a,view,{NOON},,,two", "unreadable value"),
        (f"u,zebra,view,{NOON},,,", "unknown item_id"),
        (f"u,a,swipe,{NOON},,,", "unknown event_type"),
        (f"u,a,view,{NOON},e1,,", "duplicate event_id"),
        (f"u,a,view,{NOON},,", "6 fields, expected 7"),
        (f"u,a,view,{NOON},,,,", "8 fields, expected 7"),
    ],
)
def test_a_bad_interaction_is_put_aside_with_its_line_and_reason(tmp_path, row, reason):
    good = f"u,a,view,{NOON},e1,,1.5"
    text = interactions(good, row, f"u,b,view,{NOON},e2,,", header=f"{WITH_ID},request_id,value")
    workspace = project(tmp_path, items=ITEMS, interactions=text)
    counts = import_tables(workspace).tables["interactions"]
    assert refusals(workspace, "interactions") == [(3, reason)]
    assert column(workspace, "interactions", "event_id") == ["e1", "e2"]
    assert (counts.read, counts.kept, dict(counts.refused)) == (3, 2, {reason: 1})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Apple,1,,", "missing item_id"),
        ("a, ,1,,", "missing title"),
        ("a,Apple,free,,", "unreadable price"),
        ("a,Apple,1,soon,", "unreadable published_at"),
        ("a,Apple,1,,later", "unreadable updated_at"),
        ("b,Bread again,1,,2024-01-01", "duplicate item_id and updated_at"),
    ],
)
def test_a_bad_item_is_put_aside_with_its_line_and_reason(tmp_path, row, reason):
    text = "\n".join(
        ["item_id,title,price,published_at,updated_at", "b,Bread,2,,2024-01-01", row, "b,Bun,2,,2024-02-01"]
    )
    workspace = project(tmp_path, items=text, interactions=interactions(f"u,b,view,{NOON}"))
    import_tables(workspace)
    assert refusals(workspace, "items") == [(3, reason)]
    assert column(workspace, "items", "title") == ["Bread", "Bun"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f",u,{NOON},a,1", "missing request_id"),
        (f"r2,,{NOON},a,1", "missing user_id"),
        ("r2,u,soon,a,1", "unreadable timestamp"),
        (f"r2,u,{NOON},,", "missing items"),
        (f"r2,u,{NOON},[],", "empty items"),
        (f"r2,u,{NOON},[1,", "unreadable items"),
        (f"r2,u,{NOON},a||b,", "blank id in items"),
        (f"r2,u,{NOON},a|b,0.5", "as many propensities as items expected"),
        (f"r2,u,{NOON},a|b,0.5|0", "propensities outside (0, 1]"),
        (f"r2,u,{NOON},a|b,0.5|1.1", "propensities outside (0, 1]"),
        (f"r2,u,{NOON},a|b,0.5|x", "propensities outside (0, 1]"),
        (f"r1,u,{NOON},a,1", "duplicate request_id"),
    ],
)
def test_a_bad_impression_is_put_aside_with_its_line_and_reason(tmp_path, row, reason):
    header = "request_id,user_id,timestamp,items,propensities"
    good = [f"r1,u,{NOON},b|a,1|0.5", f"r3,u,{NOON},a,"]
    workspace = project(
        tmp_path,
        interactions=interactions(f"u,a,view,{NOON}"),
        impressions="\n".join([header, good[0], row, good[1]]),
    )
    import_tables(workspace)
    assert refusals(workspace, "impressions") == [(3, reason)]
    assert column(workspace, "impressions", "items") == [["b", "a"], ["a"]]
    assert column(workspace, "impressions", "propensities") == [[1.0, 0.5], None]


def test_the_first_row_of_a_user_stays(tmp_path):
    users = "user_id,country\nu,FR\n,DE\nv,IT\nu,ES\n"
    workspace = project(tmp_path, interactions=interactions(f"u,a,view,{NOON}"), users=users)
    import_tables(workspace)
    assert refusals(workspace, "users") == [(3, "missing user_id"), (5, "duplicate user_id")]
    assert column(workspace, "users", "country") == ["FR", "IT"]


def test_a_duplicate_is_found_in_another_chunk_and_a_refused_row_does_not_count_as_the_first(tmp_path):
    (tmp_path / "log").mkdir()
    rows = [f"u,a,view,never,e1\nu,a,view,{NOON},e1", f"u,b,view,{NOON},e1\nu,b,view,{NOON},e2"]
    for name, text in zip(("1.csv", "2.csv"), rows, strict=True):
        (tmp_path / "log" / name).write_text(f"{WITH_ID}\n{text}\n")
    workspace = project_of(tmp_path, {"interactions": "log"})
    import_tables(workspace)
    found = [(row["file"], row["line"], row["reason"]) for row in quarantined(workspace, "interactions")]
    assert found == [("log/1.csv", 2, "unreadable timestamp"), ("log/2.csv", 2, "duplicate event_id")]
    assert column(workspace, "interactions", "item_id") == ["a", "b"]


def test_the_quarantine_holds_the_row_as_it_stood_in_the_file(tmp_path):
    more = '[columns.interactions]\nuser_id = "who"'
    text = f"who,item_id,event_type,timestamp\nu,a,view,never\nu,a\nu,a,view,{NOON}\n"
    workspace = project(tmp_path, more=more, interactions=text)
    import_tables(workspace)
    assert quarantined(workspace, "interactions") == [
        {
            "file": "interactions.csv",
            "line": 2,
            "reason": "unreadable timestamp",
            "row": {"who": "u", "item_id": "a", "event_type": "view", "timestamp": "never"},
        },
        {"file": "interactions.csv", "line": 3, "reason": "2 fields, expected 4", "row": "u,a"},
    ]


def test_the_quarantine_of_the_import_before_goes_when_all_is_well_again(tmp_path):
    import_tables(project(tmp_path, interactions=interactions(f"u,a,view,{NOON}", "u,a,view,never")))
    workspace = project(tmp_path, interactions=interactions(f"u,a,view,{NOON}"))
    assert quarantined(workspace, "interactions")
    import_tables(workspace)
    assert not quarantined(workspace, "interactions")


def test_a_table_that_the_source_no_longer_has_goes(tmp_path):
    log = interactions(f"u,a,view,{NOON}")
    workspace = project(tmp_path, interactions=log, users="user_id\nu\n")
    import_tables(workspace)
    assert workspace.table_path("users").exists()
    import_tables(project(tmp_path, interactions=log))
    assert not workspace.table_path("users").exists()


def test_columns_are_renamed_and_attributes_of_items_and_users_are_kept(tmp_path):
    more = (
        '[columns.interactions]\nuser_id = "customer"\nitem_id = "sku"\n[columns.items]\nitem_id = "sku"\ntitle = "sku"'
    )
    workspace = project(
        tmp_path,
        more=more,
        items="sku,stock,weight,zip,is_new,note\na,3,0.5,01234,true,x\nb,,2,99999,False,7\n",
        interactions=f"customer,sku,event_type,timestamp,page\nu,a,view,{NOON},home\n",
        users="user_id,country\nu,FR\n",
    )
    import_tables(workspace)
    items = workspace.read_table("items")
    assert items.drop(columns_of("items"), strict=False).to_dict(as_series=False) == {
        "stock": [3, None],
        "weight": [0.5, 2.0],
        "zip": ["01234", "99999"],
        "is_new": [True, False],
        "note": ["x", "7"],
    }
    assert items["title"].to_list() == ["a", "b"]
    assert workspace.read_table("interactions").columns == list(columns_of("interactions"))
    assert column(workspace, "users", "country") == ["FR"]


def test_without_items_each_id_is_an_item_with_itself_as_title(tmp_path):
    workspace = project(tmp_path, interactions=interactions(*(f"u,{item},view,{NOON}" for item in "bab")))
    import_tables(workspace)
    assert workspace.read_table("items").select("item_id", "title").rows() == [("a", "a"), ("b", "b")]


def test_event_ids_are_made_of_the_content_so_that_a_longer_log_repeats_them(tmp_path):
    rows = [f"u,a,view,{NOON}", f"u,b,view,{NOON}", f"u,a,view,{NOON}"]
    workspace = project(tmp_path, interactions=interactions(*rows))
    import_tables(workspace)
    before = set(column(workspace, "interactions", "event_id"))
    assert len(before) == 3
    import_tables(project(tmp_path, interactions=interactions(f"v,a,view,{NOON}", *reversed(rows))))
    after = column(workspace, "interactions", "event_id")
    assert len(set(after)) == 4
    assert before < set(after)


def test_a_blank_event_id_is_filled_in_beside_given_ones(tmp_path):
    rows = [f"u,a,view,{NOON},e1", f"u,b,view,{NOON},", f"u,c,view,{NOON},e3"]
    workspace = project(tmp_path, interactions=interactions(*rows, header=WITH_ID))
    import_tables(workspace)
    first, made, third = column(workspace, "interactions", "event_id")
    assert (first, third) == ("e1", "e3")
    assert len(made) == 24


def test_the_event_type_is_filled_in_when_there_is_but_one(tmp_path):
    text = f"user_id,item_id,timestamp\nu,a,{NOON}\n"
    workspace = project(tmp_path, types="purchase = { label = true }", interactions=text)
    import_tables(workspace)
    assert column(workspace, "interactions", "event_type") == ["purchase"]
    with pytest.raises(DataError, match="expected 'event_type'"):
        import_tables(project(tmp_path, interactions=text))


def test_csv_json_lines_and_parquet_of_the_same_data_give_the_same_tables(tmp_path):
    items = pl.DataFrame(
        {
            "item_id": ["a", "b"],
            "title": ['Apple, "red"', "Bread"],
            "price": [1.5, None],
            "stock": [3, None],
            "share": [0.25, 1.0],
            "is_new": [True, None],
            "colour": [None, "brown"],
        }
    )
    log = pl.DataFrame(
        {
            "user_id": ["u", "v", None, "u"],
            "item_id": ["a", "b", "a", "x"],
            "event_type": ["view", "purchase", "view", "view"],
            "timestamp": ["2024-05-02", NOON, NOON, NOON],
            "value": [None, 2.5, 1.0, 1.0],
        }
    )
    tables = {}
    for kind in ("csv", "jsonl", "parquet"):
        write_as(items, tmp_path / f"items.{kind}")
        write_as(log, tmp_path / f"log.{kind}")
        workspace = project_of(tmp_path, {"items": f"items.{kind}", "interactions": f"log.{kind}"})
        summary = import_tables(workspace)
        assert dict(summary.tables["interactions"].refused) == {"missing user_id": 1, "unknown item_id": 1}
        tables[kind] = [workspace.read_table(table) for table in ("items", "interactions")]
    for kind in ("jsonl", "parquet"):
        for table, other in zip(tables["csv"], tables[kind], strict=True):
            assert_frame_equal(table, other)


def test_an_attribute_of_several_types_is_text(tmp_path):
    rows = [{"item_id": "a", "title": "A", "size": 1, "tags": ["x"]}, {"item_id": "b", "title": "B", "size": 2.5}]
    (tmp_path / "items").mkdir()
    for name, row in (("1.jsonl", rows[0]), ("2.jsonl", rows[1]), ("3.jsonl", {**rows[0], "item_id": "c", "tags": 1})):
        (tmp_path / "items" / name).write_text(json.dumps(row))
    (tmp_path / "log.csv").write_text(interactions(f"u,a,view,{NOON}"))
    workspace = project_of(tmp_path, {"items": "items", "interactions": "log.csv"})
    import_tables(workspace)
    assert column(workspace, "items", "size") == [1.0, 2.5, 1.0]
    assert column(workspace, "items", "tags") == ['["x"]', None, "1"]


def test_a_json_key_that_comes_late_is_no_missing_column_but_one_that_never_comes_is(tmp_path, monkeypatch):
    monkeypatch.setattr("recsys.sources.jsonlines.BLOCK_BYTES", 64)
    row = {"item_id": "a", "event_type": "view", "timestamp": NOON}
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, [row, row, {**row, "user_id": "u"}])))
    workspace = project_of(tmp_path, {"interactions": "log.jsonl"})
    import_tables(workspace)
    assert refusals(workspace, "interactions") == [(1, "missing user_id"), (2, "missing user_id")]
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match=r"log.jsonl: found the columns \['item_id', .*expected 'user_id'"):
        import_tables(workspace)


def test_too_many_bad_rows_keep_the_old_tables_and_still_write_the_quarantine(tmp_path):
    workspace = project(tmp_path, interactions=interactions(f"u,a,view,{NOON}"))
    import_tables(workspace)
    rows = [f"v,a,view,{NOON}"] * 3 + ["v,a,view,never"]
    workspace = project(tmp_path, max_bad_share=0.24, interactions=interactions(*rows))
    with pytest.raises(TooManyBadRows, match=r"25.0% of the rows of interactions.* 24.0%; see .*interactions.jsonl"):
        import_tables(workspace)
    assert refusals(workspace, "interactions") == [(5, "unreadable timestamp")]
    assert column(workspace, "interactions", "user_id") == ["u"]
    import_tables(project(tmp_path, max_bad_share=0.25, interactions=interactions(*rows)))
    assert column(workspace, "interactions", "user_id") == ["v"] * 3


def test_nothing_good_is_an_error_whatever_the_limit(tmp_path):
    with pytest.raises(TooManyBadRows, match=r"100\.0% of the rows"):
        import_tables(project(tmp_path, interactions=interactions("u,a,view,never")))
    with pytest.raises(DataError, match=r"interactions\.csv: found no rows"):
        import_tables(project(tmp_path, interactions=interactions()))


def test_a_column_that_is_missing_or_wrongly_named_is_an_error_that_says_what_was_found(tmp_path):
    with pytest.raises(DataError, match=r"found the columns \['a', 'b'\], expected 'user_id'; .*columns.interactions"):
        import_tables(project(tmp_path, interactions="a,b\n1,2\n"))
    more = '[columns.interactions]\nvalue = "amount"'
    with pytest.raises(DataError, match="expected 'amount'; correct value under"):
        import_tables(project(tmp_path, more=more, interactions=interactions(f"u,a,view,{NOON}")))


def test_a_failed_import_leaves_nothing_half_written(tmp_path):
    workspace = project(tmp_path, items=ITEMS, interactions="a\n1\n")
    with pytest.raises(DataError):
        import_tables(workspace)
    assert [path.name for path in tmp_path.rglob("*.new")] == []
    assert not workspace.table_path("items").exists()


def test_online_retail_takes_no_other_paths(tmp_path):
    workspace = project_of(tmp_path, {"interactions": "a.parquet", "items": "b.csv", "format": "online_retail"})
    with pytest.raises(ConfigError, match="remove the other paths"):
        import_tables(workspace)


def test_the_counts_are_written_beside_the_tables(tmp_path):
    workspace = project(tmp_path, interactions=interactions(f"u,a,view,{NOON}", "u,a,view,never"))
    import_tables(workspace)
    assert json.loads((tmp_path / "tables" / "import.json").read_text()) == {
        "interactions": {"read": 2, "cleaned": {}, "refused": {"unreadable timestamp": 1}, "kept": 1}
    }


names = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=5).filter(str.strip)
good_rows = st.tuples(names, names, st.just("view"), st.datetimes(datetime(2000, 1, 1), datetime(2024, 1, 1)))
bad_rows = st.sampled_from(
    [
        ("", "a", "view", datetime(2024, 1, 1)),
        ("u", "a", "swipe", datetime(2024, 1, 1)),
        ("u", "a", "view", None),
    ]
)


@given(
    rows=st.lists(st.tuples(st.booleans(), good_rows, bad_rows), min_size=1, max_size=12),
    kind=st.sampled_from(["csv", "jsonl"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_every_row_is_kept_or_refused_and_the_good_ones_come_out_unchanged(tmp_path, rows, kind):
    good = [row for is_good, row, _ in rows if is_good]
    schema = {"user_id": pl.String, "item_id": pl.String, "event_type": pl.String, "timestamp": pl.Datetime("us")}
    frame = pl.DataFrame([row if is_good else bad for is_good, row, bad in rows], schema=schema, orient="row")
    stamped = frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S%.6f"))
    write_as(stamped, tmp_path / f"log.{kind}")
    with (tmp_path / f"log.{kind}").open("ab") as file:
        file.write(b"{broken\n")
    workspace = project_of(tmp_path, {"interactions": f"log.{kind}"})
    if not good:
        with pytest.raises(TooManyBadRows):
            import_tables(workspace)
        return
    counts = import_tables(workspace).tables["interactions"]
    assert counts.read == len(rows) + 1
    assert counts.kept + counts.refused.total() == counts.read
    assert len(quarantined(workspace, "interactions")) == counts.refused.total()
    kept = workspace.read_table("interactions").select(list(schema))
    want = pl.DataFrame(good, schema=schema, orient="row").cast({"timestamp": UTC_MICROSECONDS})
    assert_frame_equal(kept, want.sort("timestamp", maintain_order=True))


def test_what_is_of_the_future_is_refused_until_its_time_has_come(tmp_path):
    rows = [f"u,a,view,2024-05-01T12:{minute}:00" for minute in ("00", "10", "11")]
    workspace = project(tmp_path, items=ITEMS, interactions=interactions(*rows))
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    counts = import_tables(workspace, noon).tables["interactions"]
    assert (counts.kept, dict(counts.refused)) == (2, {"timestamp in the future": 1})
    assert import_tables(workspace, noon + timedelta(minutes=1)).tables["interactions"].kept == 3


def test_of_a_user_the_first_events_of_a_day_count_and_those_beyond_the_cap_are_left_out_and_counted(tmp_path):
    robot = [f"robot,a,view,2024-05-0{day}T12:0{minute}:00" for minute in (3, 1, 2) for day in (1, 2)]
    workspace = project(tmp_path, items=ITEMS, interactions=interactions(*robot, f"u,a,view,{NOON}"))
    config = tmp_path / "recsys.toml"
    config.write_text(config.read_text().replace("[source]", "[source]\nmax_events_per_user_per_day = 2"))
    counts = import_tables(Workspace.open(config)).tables["interactions"]
    assert (counts.read, counts.kept, dict(counts.cleaned)) == (7, 5, {"beyond 2 of one user in a day": 2})
    moments = column(workspace, "interactions", "timestamp")
    assert [moment.minute for moment in moments] == [0, 1, 2, 1, 2]
