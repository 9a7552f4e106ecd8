"""A small synthetic shop, trained: for benchmarks of the server that do not depend on what it was trained on."""

import subprocess
from pathlib import Path

import click

from benchmarks.served import RECSYS

SIZE = ("--users", "200", "--items", "500", "--impressions", "4000", "--days", "60")


def synthetic_project(folder: Path) -> Path:
    """Simulated, imported and trained with a pretrained text model; returns its recsys.toml. Half a minute.

    Raises ClickException with what a command said when it fails.
    """
    shop = folder / "shop"
    config = shop / "recsys.toml"
    _recsys("simulate", str(shop), *SIZE)
    quick = config.read_text().replace("[ranker]\n", "[ranker]\nwindows = 2\ntrees = 50\n")
    config.write_text(f"{quick}\n[finetune]\nmax_steps = 0\n")
    for name in ("import", "train"):
        _recsys(name, "--config", str(config))
    return config


def _recsys(*arguments: str) -> None:
    command = [*RECSYS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise click.ClickException(f"recsys {' '.join(arguments)} failed:\n{done.stderr}")
