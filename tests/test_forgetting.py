"""A user is forgotten: in a project that was trained, served, exported and retrained, not a byte of the id is left."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from recsys.bundle import champion, open_bundle
from recsys.bundle_files import TRAINED_USERS_FILE
from recsys.forgetting.lineage import read_mark
from recsys.forgetting.register import Register
from recsys.importing import import_tables
from recsys.workspace import Workspace
from serving.exporting import export_log
from tests.commands import BLOCK, COMMAND, NOT_TO_SERVE, recsys
from tests.serving.logged import rows
from tests.stored import files_with
from tests.training.retrained import retrained_project
from training.retraining import Outcome, retrain

GONE = "gone-7f3a9c51e0"
KEPT = "kept-51bd20c4aa"
SOURCES = ("interactions.csv", "users.csv")
LOGGED = ("interactions", "impressions", "users")
MORE = """
[features]
user_attributes = { country = "categorical" }
refresh_seconds = 0.2
[serving]
workers = 2
logged_features_share = 1.0
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """The shop, retrained once; two of its users have ids that stand nowhere else."""
    root = tmp_path_factory.mktemp("forgetting")
    retrained_project(root, tiny_encoder, margin=-0.9)
    path = root / "interactions.csv"
    text = path.read_text().replace("user-03", GONE).replace("user-04", KEPT)
    refused = "".join(
        f"bad-{nth},{user},no-such-item,view,2024-02-01T10:00:00+00:00,\n" for nth, user in ((1, GONE), (2, KEPT))
    )
    broken = f"worse,{GONE},gar-00,view,2024-02-01T10:00:00+00:00,1,2,3\n"
    path.write_text(text + refused + broken)
    users = "".join(f"{user},{country}\n" for user, country in ((GONE, "NO"), (KEPT, "SE"), ("user-05", "SE")))
    (root / "users.csv").write_text(f"user_id,country\n{users}")
    config = root / "recsys.toml"
    sources = 'users = "users.csv"\nlog = true\nmax_bad_share = 0.01\n'
    config.write_text(config.read_text().replace("[interaction_types]", f"{sources}[interaction_types]") + MORE)
    assert retrain(Workspace.open(config)) == Outcome.PROMOTED
    measured = pl.DataFrame({"task": "all", "model": "recsys", "user_id": [GONE, KEPT], "to_find": [1, 1]})
    measured.write_parquet(root / "report.users.parquet")
    return root


@pytest.fixture
def project(first: Path, tmp_path: Path) -> Workspace:
    """A copy; what Feast's registry says of its place is put right."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    return Workspace.open(tmp_path / "recsys.toml")


@contextmanager
def serving(config: Path) -> Iterator[httpx.Client]:
    command = [sys.executable, "-c", BLOCK.format(blocked=NOT_TO_SERVE) + COMMAND, "serve", "--port", "0"]
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*command, "--config", str(config)], text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            found = re.search(r" on (http://[^,]*),", process.stdout.readline())
            assert found, process.communicate()[1]
            with httpx.Client(base_url=found[1], timeout=60) as client:
                yield client
            process.send_signal(signal.SIGTERM)
            out, said = process.communicate(timeout=60)
            assert (process.returncode, "Traceback" in said) == (0, False), said
            assert GONE not in out + said
        finally:
            process.kill()


def use(client: httpx.Client, user: str) -> None:
    """A user who is asked for, sees, buys and has a country, in 2024 as the shop."""
    recommended = client.post("/v1/recommend", json={"user_id": user, "limit": 5}).json()
    events = [
        {
            "user_id": user,
            "item_id": item["item_id"],
            "event_type": "purchase",
            "timestamp": f"2024-04-10T10:0{nth}:00Z",
            "event_id": f"{user}-{nth}",
            "request_id": recommended["request_id"],
        }
        for nth, item in enumerate(recommended["items"])
    ]
    assert client.post("/v1/events", json={"events": events}).status_code == 200
    assert client.post("/v1/rank", json={"user_id": user, "candidates": ["gar-00", "kit-00"]}).status_code == 200
    assert client.post("/v1/users", json={"user_id": user, "country": "DK"}).status_code == 200


def places(root: Path, user: str) -> set[str]:
    """Where an id is stored, but for the sources: the first part of the path of each file, and the next of some."""
    found = {name for name in files_with(root, user) if name not in SOURCES}
    return {
        "/".join(re.sub(r"-[0-9a-f]{16}(?=/)", "", name).split("/")[: 2 + name.startswith("features/daily")])
        for name in found
    }


def rows_of(project: Workspace, user: str) -> list[int]:
    """How many rows of the log and of the tables are of a user."""
    logged = [rows(project.events, f"SELECT count(*) FROM {table} WHERE user_id = '{user}'")[0][0] for table in LOGGED]
    tables = [project.read_table(table)["user_id"] for table in ("interactions", "impressions", "users")]
    return logged + [(users == user).sum() for users in tables]


def answers(client: httpx.Client, user: str) -> list[list[str]]:
    """What both workers recommend: one of many requests goes to each."""
    asked = {"user_id": user, "limit": 10}
    found = [client.post("/v1/recommend", json=asked, headers={"Connection": "close"}).json() for _ in range(8)]
    return [[item["item_id"] for item in answer["items"]] for answer in found]


def until_forgotten(client: httpx.Client) -> None:
    """Until both workers answer as for somebody who was never seen."""
    deadline = time.monotonic() + 60
    while any(answer != other for answer, other in zip(answers(client, GONE), answers(client, "nobody"), strict=True)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_nothing_is_left_of_a_user_who_is_forgotten_and_all_of_another_and_the_next_retraining_replaces_the_models(
    project,
):
    root, config = project.root, project.root / "recsys.toml"
    with serving(config) as client:
        for user in (GONE, KEPT):
            use(client, user)
        assert answers(client, GONE)[0] != answers(client, "nobody")[0]
        before = places(root, GONE)
        export_log(project)
        import_tables(project)
        before |= places(root, GONE)
        other = rows_of(project, KEPT)
        assert before == places(root, KEPT) | before
        assert before >= {
            "events.db",
            "log/interactions",
            "log/impressions",
            "tables/interactions.parquet",
            "tables/impressions.parquet",
            "tables/users.parquet",
            "quarantine/interactions.jsonl",
            "report.users.parquet",
            "features/online",
            "features/user_history",
            "features/user_behaviour",
            "features/daily/log",
            "features/daily/days",
        }, before
        done = recsys("forget", GONE, "--config", config)
        assert GONE not in done.stdout + done.stderr
        until_forgotten(client)
        # Whom a request asked for is shown something again: these are of a user who came back.
        shown = f"SELECT min(timestamp) FROM impressions WHERE user_id = '{GONE}'"
        deadline = time.monotonic() + 10
        # Impressions are written a little later.
        while (came_back := rows(project.events, shown)[0][0]) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert came_back >= Register(root).users()[0].at.timestamp() * 1e6
    recsys("forget", GONE, "--config", config)
    assert places(root, GONE) == set()
    # Of another one nothing is lost but what is computed anew.
    lost = {name for name in before - places(root, KEPT) if not name.startswith("events.db-")}
    assert all(name.startswith(("features/user_", "features/daily/days")) for name in lost), lost
    assert other == rows_of(project, KEPT)
    name = champion(project.bundles).name
    assert f"forget: {name} was trained with them" in done.stdout
    assert "trained with 1 forgotten users" in recsys("bundles", "list", "--config", config).stdout
    assert not list(project.cache.glob("text-*"))
    assert retrain(project) == Outcome.PROMOTED
    bundle = open_bundle(champion(project.bundles))
    assert bundle.manifest.bundle_id != name
    # It is not that of before, carried over.
    assert bundle.manifest.text["trained_until"] == bundle.manifest.trained_until.isoformat()
    assert read_mark(project.bundles, bundle.manifest.bundle_id) is None
    assert places(root, GONE) == set()
    assert "features/user_history" in places(root, KEPT)
    assert f"{name} is deleted" in recsys("bundles", "prune", "--forgotten", "--config", config).stdout
    assert (bundle.path / TRAINED_USERS_FILE).exists()
