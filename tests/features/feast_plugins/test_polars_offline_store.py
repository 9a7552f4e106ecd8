from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.data_format import DeltaFormat
from feast.errors import (
    EntityTimestampInferenceException,
    FeastEntityDFMissingColumnsError,
    SavedDatasetLocationAlreadyExists,
)
from feast.feature_logging import LoggingConfig
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String

from benchmarks.offline_cases import DUCKDB, POLARS, differences, feast_store, random_case
from features.feast_plugins import polars_join
from features.feast_plugins.polars_source import ParquetFiles
from tests.test_requirements import imported_modules

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
KEYS = {"user_id": Int64, "item_id": String}
CASES = 20


def hour(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def view(path: Path, *, name: str = "clicks", entities=(USER,), fields=None, ttl=None, **source: Any) -> FeatureView:
    """A view with one feature, `n`, on what lies at a path."""
    keys = [entity.join_key for entity in entities]
    return FeatureView(
        name=name,
        entities=list(entities),
        ttl=ttl,
        schema=[
            *(Field(name=key, dtype=KEYS[key]) for key in keys),
            *(Field(name=field, dtype=kind) for field, kind in (fields or {"n": Int64}).items()),
        ],
        source=FileSource(name=f"{name}_source", path=str(path), **{"timestamp_field": "at", **source}),
    )


def written(path: Path, **columns: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)
    return path


def store_of(folder: Path, *objects: Any) -> FeatureStore:
    store = feast_store(folder / "feast", POLARS)
    store.apply([USER, ITEM, *objects])
    return store


def moments(*rows: tuple, key: str = "user_id") -> pd.DataFrame:
    return pd.DataFrame({key: [row[0] for row in rows], "event_timestamp": [row[1] for row in rows]})


def joined(store: FeatureStore, wanted: Any, feature: str = "n", **options: Any) -> list:
    """The values of one feature of `clicks`, None for null."""
    table = store.get_historical_features(wanted, [f"clicks:{feature}"], **options).to_arrow()
    assert table.num_rows == len(wanted)
    return table[f"clicks__{feature}" if options.get("full_feature_names") else feature].to_pylist()


@pytest.fixture
def clicks(tmp_path: Path) -> FeatureStore:
    """User 1 at 0 h and 2 h, user 2 at 1 h; a ttl of 3 h."""
    path = written(tmp_path / "clicks.parquet", user_id=[1, 2, 1], at=[hour(0), hour(1), hour(2)], n=[10, 20, 12])
    return store_of(tmp_path, view(path, ttl=timedelta(hours=3)))


# Point in time


def test_a_row_is_seen_from_its_moment_on_and_not_before(clicks):
    asked = moments((1, hour(0) - MICROSECOND), (1, hour(0)), (1, hour(2) - MICROSECOND), (1, hour(2)))
    assert joined(clicks, asked) == [None, 10, 10, 12]


def test_the_ttl_is_inclusive_to_the_microsecond(clicks):
    assert joined(clicks, moments((1, hour(5)), (1, hour(5) + MICROSECOND), (2, hour(4)))) == [12, None, 20]


@pytest.mark.parametrize("ttl", [None, timedelta(0)])
def test_without_a_ttl_a_row_is_seen_for_ever(tmp_path, ttl):
    path = written(tmp_path / "a.parquet", user_id=[1], at=[hour(0)], n=[10])
    assert joined(store_of(tmp_path, view(path, ttl=ttl)), moments((1, hour(100_000)))) == [10]


def test_the_order_the_number_and_the_columns_of_the_rows_stay(clicks):
    users, hours = [3, 1, 2, 1, 1, 2, 1], [0, 5, 1, 0, 0, -1, 3]
    asked = moments(*((user, hour(at)) for user, at in zip(users, hours, strict=True)))
    asked = asked.assign(label=list("gfedcba"), tags=[[at] for at in hours]).set_index(pd.Index(range(7, 0, -1)))
    found = clicks.get_historical_features(asked, ["clicks:n"]).to_df()
    assert list(found.columns) == ["user_id", "event_timestamp", "label", "tags", "n"]
    assert found["user_id"].tolist() == users
    assert "".join(found["label"]) == "gfedcba"
    assert [list(tags) for tags in found["tags"]] == [[at] for at in hours]
    assert found["event_timestamp"].tolist() == asked["event_timestamp"].tolist()
    assert [None if pd.isna(n) else n for n in found["n"]] == [None, 12, 20, 10, 10, None, 12]


def test_a_join_that_loses_rows_is_refused(clicks, monkeypatch):
    whole = pl.DataFrame.join_asof
    monkeypatch.setattr(pl.DataFrame, "join_asof", lambda *given, **options: whole(*given, **options).head(1))
    with pytest.raises(RuntimeError, match="join in time: 2 rows went in, 1 came out"):
        joined(clicks, moments((1, hour(0)), (2, hour(1))))


def test_of_rows_with_one_time_the_one_created_last_counts_and_one_of_unknown_creation_counts_least(tmp_path):
    created = [hour(3), None, hour(5), hour(4)]
    path = written(tmp_path / "a.parquet", user_id=[1] * 4, at=[hour(0)] * 4, made=created, n=[3, 0, 5, 4])
    store = store_of(tmp_path, view(path, created_timestamp_column="made"))
    assert joined(store, moments((1, hour(1)))) == [5]


def test_of_rows_that_differ_in_no_time_the_last_one_counts(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1, 1, 1], at=[hour(0)] * 3, n=[3, 1, 2])
    assert joined(store_of(tmp_path, view(path)), moments((1, hour(1)))) == [2]


def test_rows_that_arrive_late_are_seen_when_they_were_created_if_asked_so(tmp_path):
    # The second is of an older time and arrives last: the first hides it.
    at, made = [hour(2), hour(1), hour(0), hour(3)], [hour(4), hour(6), hour(0), None]
    path = written(tmp_path / "a.parquet", user_id=[1] * 4, at=at, made=made, n=[2, 1, 0, 3])
    store = store_of(tmp_path, view(path, created_timestamp_column="made"))
    asked = moments(*((1, hour(hours)) for hours in (1.5, 2.5, 4, 7)))
    assert joined(store, asked) == [1, 2, 3, 3]
    assert joined(store, asked, filter_by_created_timestamp=True) == [0, 0, 2, 2]


def test_what_was_never_created_counts_when_no_such_column_is_named(clicks):
    assert joined(clicks, moments((1, hour(1))), filter_by_created_timestamp=True) == [10]


# Keys, nulls and time zones


def test_null_keys_and_moments_see_nothing_and_null_features_are_seen(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1, None, 1], at=[hour(0), hour(0), hour(1)], n=[1, 2, None])
    store = store_of(tmp_path, view(path))
    asked = moments((1, hour(0)), (None, hour(5)), (1, pd.NaT), (1, hour(1)))
    assert joined(store, asked) == [1, None, None, None]
    assert joined(store, asked.head(0)) == []


def test_moments_of_several_time_zones_and_of_none_are_the_same_moment(clicks):
    local = ["2024-05-01 12:00", "2024-05-01T14:00+02:00", "2024-05-01T13:59:59+02:00"]
    assert joined(clicks, moments(*((1, at) for at in local))) == [10, 10, None]
    mixed = [NOON, NOON.astimezone(tz=None), pd.Timestamp("2024-05-01 14:00", tz="Europe/Berlin")]
    assert joined(clicks, moments(*((1, at) for at in mixed))) == [10, 10, 10]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "+02:00"])
def test_files_may_hold_times_of_any_unit_and_zone(tmp_path, unit, zone):
    table = pa.table({"user_id": [1], "n": [1], "at": pa.array([NOON], pa.timestamp("us", "UTC"))})
    kind = pa.timestamp(unit, zone) if zone else pa.timestamp(unit)
    pq.write_table(table.set_column(2, "at", table["at"].cast(kind)), tmp_path / "a.parquet")
    store = store_of(tmp_path, view(tmp_path / "a.parquet"))
    assert joined(store, moments((1, NOON), (1, NOON - timedelta(milliseconds=1)))) == [1, None]


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int32, pl.UInt64, pl.Float64])
def test_keys_of_other_number_types_are_compared_by_value(tmp_path, kind):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": pl.Series([1, 100], dtype=kind), "at": [NOON] * 2, "n": [1, 2]}).write_parquet(path)
    asked = moments((1, NOON), (100, NOON), (-1, NOON), (2**40, NOON), (None, NOON))
    assert joined(store_of(tmp_path, view(path)), asked) == [1, 2, None, None, None]
    assert joined(store_of(tmp_path, view(path)), moments((1.5, NOON), (1.0, NOON))) == [None, 1]


def test_categories_are_compared_as_texts(tmp_path):
    path = written(tmp_path / "a.parquet", item_id=["a", "b"], at=[NOON] * 2, n=[1, 2])
    asked = moments(("b", NOON), ("z", NOON), key="item_id").astype({"item_id": "category"})
    assert joined(store_of(tmp_path, view(path, entities=[ITEM])), asked) == [2, None]


def test_views_with_other_keys_are_joined_at_once(tmp_path):
    users = written(tmp_path / "users.parquet", user_id=[1, 2], at=[NOON] * 2, n=[1, 2])
    pairs = written(
        tmp_path / "pairs.parquet", user_id=[1, 1, 2], item_id=["a", "b", "a"], at=[NOON] * 3, m=[11, 12, 21]
    )
    items = written(tmp_path / "items.parquet", item_id=["b"], at=[NOON], n=[100])
    store = store_of(
        tmp_path,
        view(users),
        view(pairs, name="pairs", entities=[USER, ITEM], fields={"m": Int64}),
        view(items, name="items", entities=[ITEM]),
    )
    asked = moments((2, NOON), (1, NOON), (1, NOON)).assign(item_id=["a", "b", "z"])
    references = ["clicks:n", "pairs:m", "items:n"]
    found = store.get_historical_features(asked, references, full_feature_names=True).to_arrow().to_pydict()
    assert list(found) == ["user_id", "event_timestamp", "item_id", "clicks__n", "pairs__m", "items__n"]
    assert found["clicks__n"] == [2, 1, 1]
    assert found["pairs__m"] == [21, 12, None]
    assert found["items__n"] == [None, 100, None]


def test_one_view_is_joined_twice_under_two_names(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1, 2], at=[NOON] * 2, n=[1, 2])
    seen = view(path)
    aliases = [seen.with_name(name).with_join_key_map({"user_id": f"{name}_id"}) for name in ("buyer", "seller")]
    store = store_of(tmp_path, seen, FeatureService(name="trades", features=aliases))
    asked = pd.DataFrame({"buyer_id": [1, 2], "seller_id": [2, 3], "event_timestamp": [NOON] * 2})
    job = store.get_historical_features(asked, store.get_feature_service("trades"), full_feature_names=True)
    found = job.to_arrow().to_pydict()
    assert found["buyer__n"] == [1, 2]
    assert found["seller__n"] == [2, None]


def test_of_two_keys_one_may_be_mapped(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1, 1], item_id=["a", "b"], at=[NOON] * 2, n=[1, 2])
    pairs = view(path, entities=[USER, ITEM])
    mapped = pairs.with_name("of_buyer").with_join_key_map({"user_id": "buyer_id"})
    store = store_of(tmp_path, pairs, FeatureService(name="trades", features=[mapped]))
    asked = pd.DataFrame({"buyer_id": [1, 1], "item_id": ["b", "a"], "event_timestamp": [NOON] * 2})
    assert store.get_historical_features(asked, store.get_feature_service("trades")).to_df()["n"].tolist() == [2, 1]


def test_a_view_without_entities_is_seen_by_all(tmp_path):
    path = written(tmp_path / "a.parquet", at=[hour(0), hour(2)], made=[hour(0), hour(4)], n=[1, 2])
    store = store_of(tmp_path, view(path, entities=[], created_timestamp_column="made"))
    asked = moments((1, hour(-1)), (2, hour(1)), (3, hour(3)))
    assert joined(store, asked) == [None, 1, 2]
    assert joined(store, asked, filter_by_created_timestamp=True) == [None, 1, 1]
    store.materialize(hour(-1), hour(9))
    assert store.get_online_features(["clicks:n"], [{DUMMY_ENTITY_ID: ""}]).to_dict()["n"] == [2]
    assert pulled(store, True, hour(0), hour(9), "made", keys=[]) == [2]


# Files


def test_a_folder_a_glob_and_partitions_are_read_as_one(tmp_path):
    folder = tmp_path / "days"
    for day, n in (("01", 1), ("02", 2)):
        written(folder / f"date=2024-05-{day}" / "part.parquet", user_id=[1], at=[hour(24 * n)], n=[n])
    (folder / "unfinished.tmp").write_text("not Parquet")
    asked = moments((1, hour(24)), (1, hour(48)))
    for path in (folder, folder / "*" / "*.parquet"):
        seen = view(path, fields={"n": Int64, "date": String})
        assert joined(store_of(tmp_path, seen), asked) == [1, 2]
        assert [str(date) for date in joined(store_of(tmp_path, seen), asked, "date")] == ["2024-05-01", "2024-05-02"]
        source = FileSource(path=str(path), timestamp_field="at")
        assert ParquetFiles(source, None, owner="it").schema().names == ["user_id", "at", "n", "date"]


def test_a_folder_above_a_file_that_looks_like_a_partition_is_none(tmp_path):
    path = written(tmp_path / "n=7" / "a.parquet", user_id=[1], at=[NOON], n=[1])
    store = store_of(tmp_path, view(path))
    store.write_to_offline_store("clicks", pd.DataFrame({"user_id": [2], "at": [NOON], "n": [2]}))
    assert joined(store, moments((1, NOON), (2, NOON))) == [1, 2]


def test_the_columns_of_a_glob_are_found_by_feast_itself(tmp_path):
    written(tmp_path / "days" / "a.parquet", user_id=[1], at=[NOON], n=[1], s=["x"])
    source = FileSource(path=str(tmp_path / "days" / "*.parquet"), timestamp_field="at")
    store = store_of(tmp_path, FeatureView(name="clicks", entities=[USER], source=source))
    fields = {field.name: field.dtype for field in store.get_feature_view("clicks").features}
    assert fields == {"n": Int64, "s": String}
    assert joined(store, moments((1, NOON)), "s") == ["x"]


def test_a_relative_path_starts_at_the_repository_of_feast(tmp_path):
    written(tmp_path / "feast" / "data" / "a.parquet", user_id=[1], at=[NOON], n=[1])
    assert joined(store_of(tmp_path, view(Path("data/a.parquet"))), moments((1, NOON))) == [1]


def test_columns_are_renamed_as_the_field_mapping_says(tmp_path):
    path = written(tmp_path / "a.parquet", uid=[1], ts=[NOON], count=[7])
    store = store_of(tmp_path, view(path, field_mapping={"uid": "user_id", "ts": "at", "count": "n"}))
    assert joined(store, moments((1, NOON)), full_feature_names=True) == [7]
    store.materialize(hour(-1), hour(1))
    assert store.get_online_features(["clicks:n"], [{"user_id": 1}]).to_dict()["n"] == [7]


def test_only_the_columns_that_are_needed_are_read(clicks, monkeypatch):
    read = []
    collect = pl.LazyFrame.collect

    def spy(frame: pl.LazyFrame, **options: Any) -> pl.DataFrame:
        read.append(frame.explain())
        return collect(frame, **options)

    monkeypatch.setattr(pl.LazyFrame, "collect", spy)
    path = next(iter(clicks.list_feature_views())).batch_source.path
    pl.read_parquet(path).with_columns(unused=pl.lit("x" * 1000)).write_parquet(path)
    assert joined(clicks, moments((1, hour(0)))) == [10]
    assert any("PROJECT 3/4 COLUMNS" in plan for plan in read), read


def test_nothing_is_read_before_rows_are_asked_for(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1], at=[NOON], n=[1])
    job = store_of(tmp_path, view(path)).get_historical_features(moments((1, NOON)), ["clicks:n"])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"'clicks': found no file at .*a\.parquet, expected Parquet; write it"):
        job.to_arrow()


# Forms of the question and of the answer


def test_entity_rows_may_be_pandas_polars_or_arrow(clicks):
    asked = moments((1, hour(2)), (2, hour(2)))
    frame = pl.from_pandas(asked)
    for form in (asked, frame, frame.to_arrow(), frame.rename({"event_timestamp": "moment"})):
        assert joined(clicks, form) == [12, 20]


def test_the_answer_has_every_form_of_feast_and_that_of_polars(clicks):
    job = clicks.get_historical_features(moments((1, hour(2))), ["clicks:n"])
    assert job.to_df()["n"].tolist() == job._to_df_internal()["n"].tolist() == [12]
    assert job.to_polars()["n"].to_list() == [12]
    assert job.metadata.features == ["clicks:n"]
    assert job.metadata.keys == ["user_id"]
    assert job.metadata.min_event_timestamp == job.metadata.max_event_timestamp == hour(2)
    assert not job.full_feature_names
    assert job.on_demand_feature_views == []


def test_texts_and_lists_come_in_the_types_that_feast_knows(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1], at=[NOON], s=["x"], l=[["a", "b"]], f=[[0.5]])
    fields = {"s": String, "l": Array(String), "f": Array(Float64)}
    store = store_of(tmp_path, view(path, fields=fields))
    found = store.get_historical_features(moments((1, NOON)), [f"clicks:{name}" for name in fields]).to_arrow()
    assert [found.schema.field(name).type for name in fields] == [
        pa.string(),
        pa.list_(pa.string()),
        pa.list_(pa.float64()),
    ]
    assert found.select(list(fields)).to_pylist() == [{"s": "x", "l": ["a", "b"], "f": [0.5]}]


def test_on_demand_features_are_computed_from_those_joined(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1, 2], at=[NOON] * 2, n=[1, 2])
    clicks = view(path)

    @on_demand_feature_view(sources=[clicks], schema=[Field(name="twice", dtype=Float64)])
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"twice": inputs["n"] * 2.0})

    with pytest.warns(RuntimeWarning, match="experimental"):
        store = store_of(tmp_path, clicks, doubled)
    job = store.get_historical_features(moments((2, NOON), (1, NOON)), ["clicks:n", "doubled:twice"])
    assert job.to_df()["twice"].tolist() == [4.0, 2.0]


@pytest.mark.parametrize("name", ["saved.parquet", "folder"])
def test_an_answer_is_saved_and_not_over_another_by_mistake(clicks, tmp_path, name):
    job = clicks.get_historical_features(moments((1, hour(2)), (2, hour(2))), ["clicks:n"])
    storage = SavedDatasetFileStorage(str(tmp_path / name))
    with pytest.warns(RuntimeWarning, match="experimental"):
        saved = clicks.create_saved_dataset(job, "saved", storage)
    assert sorted(saved.to_df()["n"]) == [12, 20]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    clicks.get_historical_features(moments((1, hour(0))), ["clicks:n"]).persist(storage, allow_overwrite=True)
    assert pq.read_table(tmp_path / name)["n"].to_pylist() == [10]


# Pulls and writes


def test_materialising_puts_the_latest_row_of_each_key_online(clicks):
    clicks.materialize(hour(0), hour(1))
    users = [{"user_id": user} for user in (1, 2, 3)]
    assert clicks.get_online_features(["clicks:n"], users).to_dict()["n"] == [10, 20, None]
    clicks.materialize(hour(0), hour(2))
    assert clicks.get_online_features(["clicks:n"], users).to_dict()["n"] == [12, 20, None]


def pulled(
    store: FeatureStore,
    latest: bool,
    start: datetime | None,
    end: datetime | None,
    created: str = "",
    keys=("user_id",),
) -> list:
    (seen,) = store.list_feature_views()
    offline = store._get_provider().offline_store
    pull = offline.pull_latest_from_table_or_query if latest else offline.pull_all_from_table_or_query
    job = pull(store.config, seen.batch_source, [*keys], ["n"], "at", created or None, start, end)
    found = job.to_arrow()
    assert found.column_names[: -1 if not keys else None] == [*keys, "n", "at", *([created] if created else [])]
    return found["n"].to_pylist()


def test_a_pull_includes_its_first_and_its_last_moment(clicks):
    assert pulled(clicks, False, hour(0), hour(2)) == [10, 20, 12]
    assert pulled(clicks, False, hour(0) + MICROSECOND, hour(2) - MICROSECOND) == [20]
    assert pulled(clicks, False, hour(1).replace(tzinfo=None), None) == [20, 12]
    assert pulled(clicks, False, None, None) == [10, 20, 12]
    assert sorted(pulled(clicks, True, hour(0), hour(2))) == [12, 20]
    assert pulled(clicks, True, hour(0), hour(2) - MICROSECOND) == [10, 20]


def test_of_rows_with_one_time_that_created_last_is_pulled(tmp_path):
    made = [hour(3), hour(5), None]
    path = written(tmp_path / "a.parquet", user_id=[1] * 3, at=[hour(0)] * 3, made=made, n=[3, 5, 0])
    store = store_of(tmp_path, view(path, created_timestamp_column="made"))
    assert pulled(store, True, hour(0), hour(0), "made") == [5]


@pytest.mark.parametrize("path", ["one.parquet", "folder", "folder/*.parquet"])
def test_rows_that_are_written_are_read(tmp_path, path):
    first = tmp_path / ("one.parquet" if path == "one.parquet" else "folder/first.parquet")
    written(first, user_id=[1], at=[hour(0)], n=[1])
    store = store_of(tmp_path, view(tmp_path / path))
    rows = pd.DataFrame({"n": [2, 3], "user_id": [1, 2], "at": [hour(1), hour(0)]})
    store.write_to_offline_store("clicks", rows, reorder_columns=True)
    assert joined(store, moments((1, hour(0)), (1, hour(1)), (2, hour(1)))) == [1, 2, 3]
    with pytest.raises(ValueError, match="do not match the batch source columns"):
        store.write_to_offline_store("clicks", rows.drop(columns="n"))
    with pytest.raises(ValueError, match=r"'clicks': found the columns \['n'\], expected \['at', 'n', 'user_id'\]"):
        store._get_provider().offline_write_batch(
            store.config, store.get_feature_view("clicks"), pa.table({"n": [1]}), None
        )
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("path", ["new.parquet", "new/folder"])
def test_the_first_rows_may_be_written_as_well(tmp_path, path):
    seen = view(tmp_path / path)
    store = feast_store(tmp_path / "feast", POLARS)
    told: list[int] = []
    rows = pa.table({"user_id": [1], "at": pa.array([NOON]), "n": [1]})
    store._get_provider().offline_store.offline_write_batch(store.config, seen, rows, told.append)
    assert told == [1]
    store.apply([USER, seen])
    assert joined(store, moments((1, NOON))) == [1]


@pytest.mark.parametrize("partition_by", [None, ["__log_date"]])
def test_logged_features_are_kept_and_read_back(clicks, tmp_path, partition_by):
    destination = FileLoggingDestination(path=str(tmp_path / "logs"), partition_by=partition_by)
    service = FeatureService(
        name="served", features=[clicks.get_feature_view("clicks")], logging_config=LoggingConfig(destination)
    )
    clicks.apply([service])
    rows = {"user_id": [1], "clicks__n": [12], "clicks__n__timestamp": [hour(2)], "clicks__n__status": [2]}
    system = {"__log_timestamp": [hour(3)], "__log_date": [hour(3).date()], "__request_id": ["r"]}
    table = pa.table({**rows, **system})
    clicks.write_logged_features(table, service)
    pq.write_table(table, tmp_path / "more.parquet")
    clicks.write_logged_features(tmp_path / "more.parquet", service)
    provider = clicks._get_provider()
    found = provider.retrieve_feature_service_logs(service, hour(3), hour(3), clicks.config, clicks.registry).to_arrow()
    assert found["clicks__n"].to_pylist() == [12, 12]
    assert set(found.column_names) == {*table.column_names, DUMMY_ENTITY_ID}


# Refusals


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ("SELECT 1", ValueError, "found a SQL query, expected a pandas or Polars DataFrame"),
        (pd.DataFrame({"user_id": [1]}), EntityTimestampInferenceException, "event_timestamp"),
        (pl.DataFrame({"user_id": [1]}), EntityTimestampInferenceException, "event_timestamp"),
        (pd.DataFrame({"event_timestamp": [NOON]}), FeastEntityDFMissingColumnsError, "user_id"),
        (moments((1, 7)), ValueError, "found int64 in 'event_timestamp', expected datetimes; convert the column"),
        (moments((1, "noon")), ValueError, "'event_timestamp', expected datetimes or ISO 8601 texts; convert"),
        (moments((1, NOON)).assign(n=1), ValueError, r"found the columns \['n'\], which are features of 'clicks'"),
        (moments(("a", NOON)), ValueError, "found String in 'user_id', expected Int64 as in the feature view's files"),
    ],
    ids=["sql", "no time", "no time in Polars", "no key", "numbers", "texts", "taken", "type of key"],
)
def test_what_cannot_be_joined_is_refused(clicks, asked, error, said):
    with pytest.raises(error, match=said):
        clicks.get_historical_features(asked, ["clicks:n"]).to_arrow()


def test_a_join_without_entity_rows_is_refused(clicks):
    with pytest.raises(ValueError, match="entity_df: found NoneType, expected a pandas"):
        clicks.get_historical_features(None, ["clicks:n"], start_date=hour(0), end_date=hour(1))


def test_a_column_that_is_not_there_or_no_time_is_refused(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1], at=["2024-05-01"])
    store = store_of(tmp_path, view(path))
    with pytest.raises(ValueError, match=r"'clicks': found no column \['n'\] in .*, which has \['user_id', 'at'\]"):
        joined(store, moments((1, NOON)))
    written(path, user_id=[1], at=["2024-05-01"], n=[1])
    with pytest.raises(ValueError, match=r"found String in 'at' of .*, expected times; write it as a timestamp"):
        joined(store, moments((1, NOON)))


def test_other_sources_and_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is DeltaFormat, expected ParquetFormat"):
        ParquetFiles(FileSource(path="a", timestamp_field="at", file_format=DeltaFormat()), tmp_path, owner="it")
    with pytest.raises(ValueError, match="it: found a RequestSource, expected a FileSource"):
        ParquetFiles(RequestSource(name="r", schema=[Field(name="n", dtype=Int64)]), tmp_path, owner="it")


@pytest.mark.parametrize("path", ["days", "days/*/*.parquet", "days/*.pq"])
def test_rows_are_not_added_where_it_is_not_clear_where(tmp_path, path):
    written(tmp_path / "days" / "date=2024-05-01" / "a.parquet", user_id=[1], at=[NOON], n=[1])
    files = ParquetFiles(FileSource(path=str(tmp_path / path), timestamp_field="at"), tmp_path, owner="it")
    with pytest.raises(ValueError, match=r"rows cannot be added to .*, expected a file, a folder without partitions"):
        files.append(pa.table({"user_id": [1]}))


def test_files_elsewhere_are_read_with_the_credentials_of_their_source_and_not_written(monkeypatch):
    asked: dict[str, Any] = {}

    def scan(path: str, **options: Any) -> pl.LazyFrame:
        asked.update(options, path=path)
        return pl.LazyFrame({polars_join.ORDER: [0], "n": [1]})

    monkeypatch.setattr(pl, "scan_parquet", scan)
    source = FileSource(path="s3://bucket/*.parquet", timestamp_field="at", s3_endpoint_override="http://localhost:1")
    files = ParquetFiles(source, "/nowhere", owner="it")
    assert files.scan([pl.col("n")]).collect()["n"].to_list() == [1]
    assert files.schema().names == ["n"]
    assert asked["path"] == "s3://bucket/*.parquet"
    assert asked["storage_options"] == {"AWS_ENDPOINT_URL": "http://localhost:1"}
    with pytest.raises(ValueError, match=r"found s3://bucket/.*, expected a local path"):
        files.append(pa.table({"n": [1]}))


# Against Feast's own


@pytest.mark.parametrize("seed", range(CASES))
def test_a_random_case_is_joined_as_by_duckdb_and_in_order(tmp_path, seed):
    case = random_case(tmp_path, seed)
    ours = case.ask(feast_store(tmp_path, POLARS)).to_df()
    theirs = case.ask(feast_store(tmp_path, DUCKDB)).to_df()
    assert differences(ours, theirs, case) == []
    assert ours["row"].tolist() == case.entity_df["row"].tolist()


def test_it_needs_nothing_but_its_name_in_the_configuration_and_nothing_of_this_engine(tmp_path):
    path = written(tmp_path / "a.parquet", user_id=[1], at=[NOON], n=[1])
    (tmp_path / "feature_store.yaml").write_text(
        f"project: other\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        f"online_store: {{type: sqlite, path: online.db}}\noffline_store: {{type: {POLARS}}}\n"
    )
    store = FeatureStore(str(tmp_path))
    store.apply([USER, view(path)])
    assert joined(store, moments((1, NOON))) == [1]
    folder = Path(polars_join.__file__).parent
    imported = {module for path in folder.glob("polars_*.py") for module in imported_modules(path)}
    ours = {module for module in imported if module.partition(".")[0] in {"recsys", "training", "serving", "features"}}
    assert {module.rpartition(".")[0] for module in ours} == {"features.feast_plugins"}
