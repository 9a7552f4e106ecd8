import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from recsys.workspace import Workspace
from serving.events import EventLog
from serving.exporting import export_log
from serving.forgetting.exported import forget_exported
from tests.recsys.project import project_of
from tests.serving.forgetting.test_log import GONE, KEPT, use, who
from tests.stored import files_with


@pytest.fixture
def exported(tmp_path: Path) -> Workspace:
    """Two users, exported in two rounds: one file of the second has rows of the user alone."""
    workspace = project_of(tmp_path, {"interactions": "none.csv"})
    with EventLog.open(workspace.events) as log:
        for user in (GONE, KEPT):
            use(log, user)
        export_log(workspace)
        use(log, GONE, 1)
    export_log(workspace)
    return workspace


def test_the_rows_of_the_user_go_from_every_file_and_files_keep_their_names_and_columns(exported):
    files = sorted(exported.exported.glob("*/day=*/*.parquet"))
    before = {path: pl.read_parquet_schema(path) for path in files}
    assert forget_exported(exported.exported, who(GONE)) == 6
    assert {path: pl.read_parquet_schema(path) for path in files} == before
    assert files_with(exported.exported, GONE) == set()
    for table in ("interactions", "impressions", "users"):
        rows = pl.concat([pl.read_parquet(path) for path in files if path.parts[-3] == table])
        assert set(rows["user_id"]) == {KEPT}
    assert forget_exported(exported.exported, who(GONE, by_hash=True)) == 0
    # What was exported is not exported again.
    assert export_log(exported).files == 0


def test_a_file_without_the_user_is_left_alone(exported):
    before = {path: path.stat().st_mtime_ns for path in exported.exported.glob("*/day=*/*.parquet")}
    assert forget_exported(exported.exported, who("nobody")) == 0
    assert {path: path.stat().st_mtime_ns for path in exported.exported.glob("*/day=*/*.parquet")} == before


KILLED = """
import os, signal, sys
from pathlib import Path
from serving import export_folder
from serving.forgetting.exported import forget_exported
from tests.serving.forgetting.test_log import GONE, who

export_folder.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
forget_exported(Path(sys.argv[1]), who(GONE))
"""


def test_a_process_that_is_killed_leaves_the_old_files_and_the_next_one_does_it_all(exported):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(exported.exported)], cwd=Path(__file__).parents[3], env=dict(os.environ)
    )
    assert done.returncode == -signal.SIGKILL
    assert list(exported.exported.glob("*/day=*/.*.new"))
    assert forget_exported(exported.exported, who(GONE)) == 6
    assert not list(exported.exported.glob("*/day=*/.*.new"))
    assert files_with(exported.exported, GONE) == set()
