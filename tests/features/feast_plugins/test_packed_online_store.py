import asyncio
import threading
from datetime import timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from feast import FeatureService, utils
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.Value_pb2 import BoolList, DoubleList, FloatList, Int64List, Map, StringList, Value
from feast.types import (
    Array,
    Bool,
    Bytes,
    Decimal,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    String,
    UnixTimestamp,
    Uuid,
)
from feast.types import (
    Map as MapType,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.features.feast_plugins.project import (
    FIELDS,
    ITEM,
    MICROSECOND,
    NOON,
    USER,
    item_values,
    key,
    open_store,
    price_of,
    view,
    write,
)

text = st.text(max_size=5)
int64s = st.integers(-(2**63), 2**63 - 1)
float32s = st.floats(width=32)
EVERYTHING = {
    "float32": (Float32, st.builds(lambda value: Value(float_val=value), float32s)),
    "float64": (Float64, st.builds(lambda value: Value(double_val=value), st.floats())),
    "int64": (Int64, st.builds(lambda value: Value(int64_val=value), int64s)),
    "int32": (Int32, st.builds(lambda value: Value(int32_val=value), st.integers(-(2**31), 2**31 - 1))),
    "bool": (Bool, st.builds(lambda value: Value(bool_val=value), st.booleans())),
    "moment": (UnixTimestamp, st.builds(lambda value: Value(unix_timestamp_val=value), st.integers(0, 2**33))),
    "string": (String, st.builds(lambda value: Value(string_val=value), text)),
    "bytes": (Bytes, st.builds(lambda value: Value(bytes_val=value), st.binary(max_size=5))),
    "json": (Json, st.just(Value(json_val='{"a": 1}'))),
    "uuid": (Uuid, st.builds(lambda value: Value(uuid_val=str(value)), st.uuids())),
    "decimal": (Decimal, st.just(Value(decimal_val="0.10"))),
    "map": (MapType, st.just(Value(map_val=Map(val={"a": Value(string_val="b")})))),
    "strings": (Array(String), st.builds(lambda v: Value(string_list_val=StringList(val=v)), st.lists(text))),
    "float32s": (Array(Float32), st.builds(lambda v: Value(float_list_val=FloatList(val=v)), st.lists(float32s))),
    "float64s": (Array(Float64), st.builds(lambda v: Value(double_list_val=DoubleList(val=v)), st.lists(st.floats()))),
    "int64s": (Array(Int64), st.builds(lambda v: Value(int64_list_val=Int64List(val=v)), st.lists(int64s))),
    "bools": (Array(Bool), st.builds(lambda v: Value(bool_list_val=BoolList(val=v)), st.lists(st.booleans()))),
}
SOMETHING = st.fixed_dictionaries({name: st.just(Value()) | values for name, (_, values) in EVERYTHING.items()})


def as_bytes(values):
    """NaN equals NaN."""
    return {name: value.SerializeToString(deterministic=True) for name, value in values.items()}


def in_feasts_words(response):
    """{feature: (values, statuses, timestamps)} of an answer, comparable to the bit."""
    return {
        name: (
            [value.SerializeToString(deterministic=True) for value in vector.values],
            list(vector.statuses),
            [stamp.ToMicroseconds() for stamp in vector.event_timestamps],
        )
        for name, vector in zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True)
        if name != "item_id"
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(SOMETHING, min_size=1, max_size=3))
def test_every_type_comes_back_as_from_feasts_own_store(both_stores, rows):
    ours, cores = both_stores
    asked = [{"item_id": f"i{at}"} for at in range(len(rows))]
    both_stores.written += 1
    for store in (ours, cores):
        for at, values in enumerate(rows):
            moment = NOON + timedelta(seconds=both_stores.written)
            write(store, key(item_id=f"i{at}"), values, moment, view="everything")
    references = [f"everything:{name}" for name in EVERYTHING]
    answer, expected = (store.get_online_features(references, asked) for store in (ours, cores))
    assert in_feasts_words(answer) == in_feasts_words(expected)
    assert repr(answer.to_dict()) == repr({name: expected.to_dict()[name] for name in answer.to_dict()})
    # The generic path, which Feast takes for on-demand views.
    table = ours.get_feature_view("everything")
    keys = [key(item_id=f"i{at}") for at in range(len(rows))]
    read = ours._get_provider().online_read(ours.config, table, keys)
    assert [as_bytes(values) for _, values in read] == [as_bytes(values) for values in rows]
    assert {moment for moment, _ in read} == {NOON + timedelta(seconds=both_stores.written)}


class BothStores(tuple):
    """Ours and Feast's, and how often they were written."""

    written = 0


@pytest.fixture
def both_stores(opened, tmp_path):
    stores = BothStores(
        (opened(), open_store(tmp_path / "core", {"type": "sqlite", "path": str(tmp_path / "core.db")}))
    )
    for store in stores:
        store.apply([ITEM, view("everything", {name: dtype for name, (dtype, _) in EVERYTHING.items()})])
    return stores


def test_an_older_event_never_overwrites_a_newer_one(store):
    write(store, key(item_id="a"), item_values(price=1), NOON)
    write(store, key(item_id="a"), item_values(price=2), NOON - MICROSECOND)
    assert price_of(store) == 1
    write(store, key(item_id="a"), item_values(price=3), NOON + MICROSECOND)
    assert price_of(store) == 3
    write(store, key(item_id="a"), item_values(price=4), NOON)
    assert price_of(store) == 3


def test_of_equal_timestamps_the_later_write_wins(store):
    write(store, key(item_id="a"), item_values(price=1), NOON)
    write(store, key(item_id="a"), item_values(price=2), NOON)
    assert price_of(store) == 2


def test_within_a_batch_the_latest_event_wins_wherever_it_stands(store):
    moments = [NOON, NOON + timedelta(days=300), NOON + MICROSECOND]
    data = [(key(item_id="a"), item_values(price=at), moment, None) for at, moment in enumerate(moments)]
    done = []
    store._get_provider().online_write_batch(store.config, store.get_feature_view("items"), data, done.append)
    assert price_of(store) == 1
    assert sum(done) == 3


def test_timestamps_before_the_epoch_and_of_other_zones_are_compared_as_moments(store):
    write(store, key(item_id="a"), item_values(price=1), NOON.replace(year=1950))
    write(store, key(item_id="a"), item_values(price=2), NOON.replace(year=1960))
    assert price_of(store) == 2
    write(store, key(item_id="a"), item_values(price=3), NOON)
    earlier = (NOON - timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    write(store, key(item_id="a"), item_values(price=4), earlier)
    assert price_of(store) == 3
    # Naive is UTC.
    write(store, key(item_id="a"), item_values(price=5), NOON.replace(tzinfo=None) + MICROSECOND)
    assert price_of(store) == 5


def test_an_unknown_entity_is_null_and_not_found(store):
    write(store, key(item_id="a"), item_values(price=None))
    answer = store.get_online_features([f"items:{name}" for name in FIELDS], [{"item_id": "b"}, {"item_id": "a"}])
    assert answer.to_dict() == {
        "item_id": ["b", "a"],
        "price": [None, None],
        "exact": [None, 0.1],
        "count": [None, 7],
        "title": [None, "cup"],
    }
    for name, (_, statuses, _) in in_feasts_words(answer).items():
        assert statuses == [FieldStatus.NOT_FOUND, FieldStatus.PRESENT], name
    assert answer.found("count").tolist() == [False, True]
    provider = store._get_provider()
    assert provider.online_read(store.config, store.get_feature_view("items"), [key(item_id="b")]) == [(None, None)]
    assert provider.online_read(store.config, store.get_feature_view("items"), []) == []


def test_a_changed_schema_reads_nothing_of_the_old_rows_until_it_is_written(store, opened):
    write(store, key(item_id="a"), item_values(price=1.5))
    before = opened()
    assert price_of(before) == 1.5
    changed = {**FIELDS, "price": Float64, "amount": Float32}
    store.apply([view(fields=changed)])
    assert price_of(store) is None
    values = {**item_values(), "price": Value(double_val=2.5), "amount": Value(float_val=3)}
    write(store, key(item_id="a"), values, NOON - MICROSECOND)
    assert price_of(store) == 2.5
    assert price_of(before) == 1.5, "who has the old registry goes on with the old rows"


def test_the_order_in_which_features_are_declared_does_not_matter(store):
    write(store, key(item_id="a"), item_values(price=1.5))
    store.apply([view(fields=dict(reversed(FIELDS.items())))])
    assert price_of(store) == 1.5


def test_a_deleted_view_and_a_torn_down_project_leave_no_rows_and_touch_no_others(store, online, tmp_path):
    other = open_store(tmp_path / "other", online, project="shop2")
    other.apply([ITEM, view()])
    store.apply([view("items_2")])
    for each, name in ((store, "items"), (store, "items_2"), (other, "items")):
        write(each, key(item_id="a"), item_values(), view=name)
    provider = store._get_provider()
    gone = store.get_feature_view("items")
    provider.online_store.update(store.config, [gone], [], [], [], True)
    provider.online_store.update(store.config, [], [gone], [], [], True)
    assert price_of(store) is None
    assert store.get_online_features(["items_2:price"], [{"item_id": "a"}]).to_dict()["price"] == [1.5]
    kept = store.get_feature_view("items_2")
    store.teardown()
    provider.online_store.update(store.config, [], [kept], [], [], True)
    assert provider.online_store.online_read(store.config, kept, [key(item_id="a")]) == [(None, None)]
    assert price_of(other) == 1.5


def test_two_projects_on_one_store_do_not_see_each_other(store, online, tmp_path):
    other = open_store(tmp_path / "other", online, project="other")
    other.apply([ITEM, view()])
    write(store, key(item_id="a"), item_values())
    assert price_of(other) is None


def test_projects_that_are_asked_in_turn_look_into_their_registries_once(store, online, tmp_path, monkeypatch):
    other = open_store(tmp_path / "other", online, project="other")
    other.apply([ITEM, view()])
    write(store, key(item_id="a"), item_values(price=1.5))
    write(other, key(item_id="a"), item_values(price=2.5))
    lookups = []

    def look_up(*arguments):
        lookups.append(arguments[1])
        return context_of(*arguments)

    context_of = utils._get_online_request_context
    monkeypatch.setattr(utils, "_get_online_request_context", look_up)
    assert [price_of(each) for _ in range(3) for each in (store, other)] == [1.5, 2.5] * 3
    assert lookups == ["shop", "other"]
    changed = {**FIELDS, "price": Float64}
    store.apply([view(fields=changed)])
    assert (price_of(store), price_of(other)) == (None, 2.5)


def test_an_entity_of_two_keys_is_told_from_its_parts(store):
    store.apply([USER, view("pairs", {"times": Int64}, entities=[USER, ITEM])])
    for user, item, times in ((1, "a", 11), (1, "b", 12), (2**62 + 1, "a", 21)):
        write(store, key(user_id=user, item_id=item), {"times": Value(int64_val=times)}, view="pairs")
    rows = {"user_id": [2**62 + 1, 1, 1, 2**62], "item_id": ["a", "b", "a", "a"]}
    assert store.get_online_features(["pairs:times"], rows).to_dict()["times"] == [21, 12, 11, None]


def test_a_service_over_two_views_gives_each_row_its_user_and_its_item(store):
    users = view("users", {"price": Float32, "history": Array(String)}, entities=[USER])
    store.apply([USER, users, view()])
    store.apply([FeatureService(name="ranking", features=[users, view()])])
    history = Value(string_list_val=StringList(val=["b", "a"]))
    write(store, key(user_id=5), {"price": Value(float_val=9), "history": history}, view="users")
    for item, count in (("a", 2**63 - 1), ("b", -(2**63))):
        write(store, key(item_id=item), item_values(count=count))
    service = store.get_feature_service("ranking")
    rows = [{"user_id": 5, "item_id": item} for item in ("b", "a", "b", "x")]
    answer = store.get_online_features(service, rows, full_feature_names=True)
    assert answer.to_df().set_index("item_id")["users__price"].tolist() == [9, 9, 9, 9]
    assert answer.to_dict()["items__count"] == [-(2**63), 2**63 - 1, -(2**63), None]
    assert answer.column("items__count").tolist() == [-(2**63), 2**63 - 1, -(2**63), None]
    assert answer.column("users__history").tolist() == [["b", "a"]] * 4
    assert answer.column("items__title").tolist() == ["cup", "cup", "cup", None]
    assert answer.column("item_id").tolist() == ["b", "a", "b", "x"]
    matrix = answer.matrix(["items__exact", "users__price", "items__price"], dtype=np.float64)
    np.testing.assert_array_equal(matrix, [[0.1, 9, 1.5]] * 3 + [[np.nan, 9, np.nan]])


def test_materialize_fills_the_store(store, tmp_path):
    frame = pd.DataFrame(
        {
            "item_id": ["a", "b", "a"],
            "price": np.array([1, 2, 3], dtype=np.float32),
            "exact": [0.1, None, 0.3],
            "count": [2**53 + 1, 2, 2**53 + 3],
            "title": ["old cup", None, "cup"],
            "event_timestamp": [NOON, NOON, NOON + MICROSECOND],
        }
    )
    frame.to_parquet(tmp_path / "items.parquet")
    store.apply([view(path=tmp_path / "items.parquet")])
    store.materialize(NOON - timedelta(days=1), NOON + timedelta(days=1))
    answer = store.get_online_features([f"items:{name}" for name in FIELDS], {"item_id": ["a", "b", "c"]})
    assert answer.to_dict() == {
        "item_id": ["a", "b", "c"],
        "price": [3.0, 2.0, None],
        "exact": [0.3, None, None],
        "count": [2**53 + 3, 2, None],
        "title": ["cup", None, None],
    }
    assert {stamp.ToMicroseconds() for stamp in answer.proto.results[1].event_timestamps} == {
        0, int(NOON.timestamp()) * 10**6, int(NOON.timestamp()) * 10**6 + 1,
    }  # fmt: skip


def test_who_reads_while_another_writes_sees_whole_rows_that_never_go_back(opened, store):
    columns = {f"f{at}": Float32 for at in range(8)}
    store.apply([view("counts", columns)])
    keys = [key(item_id=f"i{at}") for at in range(50)]
    references = [f"counts:{name}" for name in columns]
    stop = threading.Event()
    failures = []
    rounds = []

    def read(mine):
        seen = np.zeros(len(keys))
        while not stop.is_set():
            answer = mine.get_online_features(references, {"item_id": [f"i{at}" for at in range(50)]})
            found = np.nan_to_num(answer.matrix(list(columns)))
            if (found != found[:, :1]).any() or (found[:, 0] < seen).any():
                failures.append(found)
            seen = found[:, 0]
            rounds.append(seen.max())

    shared = opened()
    readers = [threading.Thread(target=read, args=(each,)) for each in (shared, shared, opened())]
    for reader in readers:
        reader.start()
    table = store.get_feature_view("counts")
    for count in range(1, 60):
        values = {name: Value(float_val=count) for name in columns}
        data = [(each, values, NOON + count * MICROSECOND, None) for each in keys]
        store._get_provider().online_write_batch(store.config, table, data, None)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert len(set(rounds)) > 1, "nobody read while there was writing"


def test_a_row_without_a_feature_or_with_one_of_another_type_is_refused(store):
    values = item_values()
    with pytest.raises(ValueError, match=r"items: price is int64_val, expected float_val"):
        write(store, key(item_id="a"), {**values, "price": Value(int64_val=1)})
    del values["count"]
    with pytest.raises(ValueError, match=r"items: a row has no value for \['count'\]"):
        write(store, key(item_id="a"), values)
    assert price_of(store) is None


def test_asynchronous_reads_and_writes_are_those_of_a_thread(store):
    async def there_and_back():
        provider = store._get_provider()
        table = store.get_feature_view("items")
        await provider.online_write_batch_async(
            store.config, table, [(key(item_id="a"), item_values(), NOON, None)], None
        )
        read = await provider.online_read_async(store.config, table, [key(item_id="a")])
        return read, await store.get_online_features_async(["items:price"], [{"item_id": "a"}])

    read, answer = asyncio.run(there_and_back())
    assert read == [(NOON, item_values())]
    assert answer.to_dict()["price"] == [1.5]


def test_a_request_that_feast_refuses_is_refused_as_before(store):
    with pytest.raises(KeyError, match="item_id"):
        store.get_online_features(["items:price"], [{"user_id": 1}])
