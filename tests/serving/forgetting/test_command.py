"""`recsys forget` on a project: what it says, that it goes on where it was killed, and waits for a retraining."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsys.durable import at_once_or_not
from recsys.forgetting.key import UserKey
from recsys.forgetting.lineage import read_mark, write_trained_users
from recsys.forgetting.register import Register
from recsys.importing import import_tables
from recsys.workspace import RETRAIN_LOCK, Workspace
from serving.events import EventLog
from serving.exporting import export_log
from serving.forgetting.command import BUSY, forget_command
from tests.recsys.forgetting.test_lineage import publish_of
from tests.recsys.project import ITEMS, interactions, project
from tests.serving.forgetting.test_log import GONE, KEPT, use
from tests.stored import files_with

MORE = "[log]\nretention_days = 90\n"
TYPES = "view = { weight = 0.2 }\nclick = { label = true }"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project with a bundle and a cache that learned from both users."""
    rows = [f"{user},a,view,2024-05-01T11:00:00Z" for user in (GONE, KEPT)]
    workspace = project(tmp_path, types=TYPES, more=MORE, items=ITEMS, interactions=interactions(*rows))
    with EventLog.open(workspace.events) as log:
        for user in (GONE, KEPT):
            use(log, user)
    export_log(workspace)
    import_tables(workspace)
    key = UserKey.of(tmp_path)
    publish_of(workspace.bundles, "old", noted=False)
    for folder in (workspace.cache / "text-1", workspace.cache / "ranker-2"):
        folder.mkdir(parents=True)
        write_trained_users(folder, key.shorts([GONE, KEPT]))
    return workspace


@pytest.fixture
def left(workspace: Workspace) -> Iterator[None]:
    yield
    assert {name for name in files_with(workspace.root, GONE) if name != "interactions.csv"} == set()
    assert [(one.served, one.done) for one in Register(workspace.root).users()] == [(True, True)]
    assert not list(workspace.cache.glob("*"))
    assert read_mark(workspace.bundles, "old") is not None
    assert files_with(workspace.root, KEPT) >= {"events.db", "tables/interactions.parquet"}


def forget(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(forget_command, ["--config", str(workspace.root / "recsys.toml"), *arguments])


@pytest.mark.usefixtures("left")
def test_it_counts_what_it_removed_and_names_the_bundles_and_never_a_user(workspace):
    done = forget(workspace, GONE)
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        [
            "forget: 1 users",
            "forget: rows of servers: 1 interactions, 1 impressions, 1 users, 1 features, 1 shadows, 3 exported",
            "forget: rows: 1 interactions",
            "forget: results of stages: 2 cache",
            "forget: old was trained with them; the next `recsys retrain` replaces it if it is the champion",
        ],
    )
    assert forget(workspace, "--pending").output == "forget: nobody is left to be forgotten\n"
    # Again: there is nothing to be found, and the bundle is still marked.
    assert "forget: rows: none" in forget(workspace, GONE).output


@pytest.mark.usefixtures("left")
def test_while_a_retraining_runs_servers_forget_and_the_rest_waits(workspace):
    with at_once_or_not(workspace.root / RETRAIN_LOCK) as is_free:
        assert is_free
        done = forget(workspace, GONE)
        assert done.exit_code == BUSY
        assert "a retraining runs; run `recsys forget --pending` when it has ended" in done.output
        assert {name.split("/")[0] for name in files_with(workspace.root, GONE)} == {"interactions.csv", "tables"}
    assert forget(workspace, "--pending").exit_code == 0


@pytest.mark.usefixtures("left")
def test_the_caller_may_hold_the_lock(workspace):
    with at_once_or_not(workspace.root / RETRAIN_LOCK):
        assert forget(workspace, GONE).exit_code == BUSY
        assert forget(workspace, "--pending", "--locked").exit_code == 0


def test_users_or_pending_is_one_of_the_two(workspace):
    for arguments in ([], [GONE, "--pending"]):
        done = forget(workspace, *arguments)
        assert done.exit_code == 2
        assert "one of the two" in done.output


KILLED = """
import os, signal, sys
from importlib import import_module
from serving.forgetting.command import forget_command

module, _, name = sys.argv[1].partition(":")
*owners, name = name.split(".")
owner = import_module(module)
for each in owners:
    owner = getattr(owner, each)
setattr(owner, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
forget_command(["--config", sys.argv[2], sys.argv[3]])
"""
STEPS = (
    "serving.forgetting.served:forget_in_log",
    "serving.forgetting.served:forget_exported",
    "serving.forgetting.command:forget_learned",
    "recsys.forgetting.stages:shutil.rmtree",
    "recsys.forgetting.tables:forget_refused",
    "serving.forgetting.command:Register.set_done",
)


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_is_gone_on_with_by_the_next(workspace, step):
    config = str(workspace.root / "recsys.toml")
    command = [sys.executable, "-c", KILLED, step, config, GONE]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert forget(workspace, "--pending").exit_code == 0
