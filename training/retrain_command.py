"""The command `recsys retrain`: once, or as a service.

recsys retrain --config recsys.toml                one retraining
recsys retrain --config recsys.toml --dry-run      the same, but nothing is published
recsys retrain --config recsys.toml --every 24h    one after the other, each in a process of its own
"""

import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final

import click

from recsys.cli import CONFIG_OPTION

COMMAND: Final = (sys.executable, "-c", "from recsys.cli import main; main()")
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SECONDS_IN: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
JITTER: Final = 0.1
"""Share of the interval that a pause may be longer, so that many projects do not all begin at once."""

_LOG: Final = logging.getLogger("recsys.retrain")


class Interval(click.ParamType[float]):
    """A time such as 90s, 30m, 24h or 7d, as seconds."""

    name = "time"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
        if not found or float(found[1]) == 0:
            self.fail(f"{value!r} is no time; expected such as 90s, 30m, 24h or 7d", param, ctx)
        return float(found[1]) * SECONDS_IN[found[2]]


@click.command("retrain")
@CONFIG_OPTION
@click.option("--dry-run", is_flag=True, help="Do everything but publish and promote")
@click.option("--every", type=Interval(), help="Run as a service: retrain, wait so long (90s, 30m, 24h, 7d), again")
@click.pass_context
def retrain_command(context: click.Context, config_path: Path, dry_run: bool, every: float | None) -> None:
    """Learn from what is new, and serve it if it is surely not worse.

    Exit codes: 0 promoted, 3 the champion stays or there is nothing new, 4 another retraining runs, 2 and 1 failed.
    """
    from recsys.config import load_config

    settings = load_config(config_path).retrain
    arguments = ["retrain", "--config", str(config_path), *(["--dry-run"] if dry_run else [])]
    environment = limited(settings.threads)
    if every is not None:
        serve(arguments, environment, every)
    if environment != dict(os.environ):
        # The libraries read the limits when they are loaded, which they are by now.
        os.execve(sys.executable, [*COMMAND, *arguments], environment)
    os.nice(max(settings.nice - os.nice(0), 0))
    from recsys.workspace import Workspace
    from training.retraining import retrain

    outcome = retrain(Workspace.open(config_path), dry_run=dry_run)
    click.echo(f"retrain: {outcome.name.lower()}{' (dry run)' if dry_run else ''}")
    context.exit(int(outcome))


def limited(threads: int | None) -> dict[str, str]:
    """The environment with at most so many threads; None: as it is."""
    return {**os.environ, **({} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads)))}


def serve(arguments: list[str], environment: dict[str, str], every: float) -> None:
    """Retrain for ever; ends on SIGTERM or SIGINT, with the retraining that runs, which the next one goes on with."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    stopping = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def stop(signal_number: int, frame: FrameType | None) -> None:
        stopping.set()
        if child is not None and child.poll() is None:
            child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    meaning = {0: "promoted", 3: "kept the champion", 4: "another retraining runs"}
    while not stopping.is_set():
        _LOG.info("retraining begins")
        child = subprocess.Popen([*COMMAND, *arguments], env=environment)
        code = child.wait()
        if stopping.is_set():
            break
        pause = every * random.uniform(1, 1 + JITTER)  # noqa: S311
        level = logging.INFO if code in meaning else logging.ERROR
        what = meaning.get(code, f"failed with exit code {code}, the champion stays")
        _LOG.log(level, "retraining ended: %s; the next one begins in %.0f minutes", what, pause / 60)
        stopping.wait(pause)
    _LOG.info("stopped")
    sys.exit(0)
