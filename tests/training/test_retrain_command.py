import os
import re
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from tests.training.retrained import retrained_project
from training import retrain_command as module
from training import retraining
from training.retrain_command import Interval, limited, retrain_command
from training.retraining import Outcome


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("24h", 86_400), ("1.5d", 129_600)])
def test_a_time_is_a_number_and_a_unit(text, seconds):
    assert Interval().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["24", "h", "0h", "1w", "-1h"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(click.BadParameter, match="expected such as 90s, 30m, 24h or 7d"):
        Interval().convert(text, None, None)


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.PROMOTED, 0), (Outcome.KEPT, 3), (Outcome.BUSY, 4)])
def test_the_exit_code_says_how_it_ended(tmp_path, tiny_encoder, monkeypatch, outcome, code):
    retrained_project(tmp_path, tiny_encoder)
    monkeypatch.setattr(retraining, "retrain", lambda workspace, *, dry_run: outcome)
    nice = []
    monkeypatch.setattr(module.os, "nice", lambda more: nice.append(more) or 4)
    done = CliRunner().invoke(retrain_command, ["--config", str(tmp_path / "recsys.toml"), "--dry-run"])
    assert (done.exit_code, done.stdout) == (code, f"retrain: {outcome.name.lower()} (dry run)\n")
    # From 4, where it is, to 10.
    assert nice == [0, 6]


def test_with_fewer_threads_it_starts_itself_anew_with_them(tmp_path, tiny_encoder, monkeypatch):
    retrained_project(tmp_path, tiny_encoder)
    config = tmp_path / "recsys.toml"
    config.write_text(config.read_text() + "[retrain]\nthreads = 3\n")
    started = []

    def execve(path, arguments, environment):
        started.append((arguments[-3:], environment["OMP_NUM_THREADS"], environment["POLARS_MAX_THREADS"]))
        raise SystemExit(0)

    monkeypatch.setattr(module.os, "execve", execve)
    CliRunner().invoke(retrain_command, ["--config", str(config)])
    assert started == [(["retrain", "--config", str(config)], "3", "3")]


def test_without_a_limit_the_environment_stays():
    assert limited(None) == dict(os.environ)


SERVICE = """
import sys
from training import retrain_command as module
retraining = "import sys, time; print('ran', flush=True); time.sleep({seconds}); sys.exit({code})"
module.COMMAND = (sys.executable, "-c", retraining)
module.serve([], dict(module.os.environ), {every})
"""


def service(*, code: int = 0, seconds: float = 0, every: float = 0.1) -> subprocess.Popen[str]:
    script = SERVICE.format(code=code, seconds=seconds, every=every)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (0, "INFO retraining ended: promoted; the next"),
        (3, "INFO retraining ended: kept the champion; the next"),
        (2, "ERROR retraining ended: failed with exit code 2, the champion stays; the next"),
    ],
)
def test_the_service_retrains_again_and_again_and_says_how_each_ended(code, line):
    with service(code=code) as process:
        for _ in range(3):
            assert process.stdout.readline() == "ran\n"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(re.findall(re.escape(line), log)) >= 2
    assert log.endswith("INFO stopped\n")


def test_a_service_that_is_stopped_ends_the_retraining_that_runs():
    with service(seconds=600) as process:
        process.stdout.readline()
        started = time.monotonic()
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - started < 10
