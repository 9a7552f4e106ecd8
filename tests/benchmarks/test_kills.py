import sys
from pathlib import Path

import pytest

from benchmarks.kills import survive
from tests.serving.test_server import SCRIPT, TOML

FAKE = (sys.executable, "-c", SCRIPT, "ready")
"""The server as it is, over a fake engine: it starts sooner."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "recsys.toml"
    path.write_text(TOML)
    return path


def test_a_killed_server_loses_no_acknowledged_event_and_counts_none_twice(config):
    found = survive(config, ["a", "b"], "click", kills=5, recsys=FAKE)
    assert (found["kills"], found["lost"], found["twice"], found["invented"]) == (5, 0, 0, 0)
    assert found["acknowledged"] > 5


FORGETFUL = SCRIPT.replace(
    "main()",
    """
from serving.log_file import LogFile

def write(self, add):
    self._connection.execute("BEGIN")
    done = add(self._connection)
    self._connection.rollback()
    return done

LogFile.write = write
main()
""",
)


def test_a_server_that_acknowledges_what_it_does_not_keep_is_found_out(config):
    found = survive(config, ["a"], "click", kills=1, recsys=(sys.executable, "-c", FORGETFUL, "ready"))
    assert found["lost"] == found["acknowledged"] > 0
