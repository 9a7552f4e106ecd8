"""The command `recsys simulate`."""

from pathlib import Path
from typing import Any

import click

from recsys.simulation.settings import Settings
from recsys.simulation.writing import write_simulation

DEFAULT = Settings()


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--users", type=click.IntRange(min=1), default=DEFAULT.users, show_default=True)
@click.option("--items", type=click.IntRange(min=1), default=DEFAULT.items, show_default=True)
@click.option(
    "--impressions", type=click.IntRange(min=1), default=DEFAULT.impressions, show_default=True, help="Lists shown."
)
@click.option("--days", type=click.IntRange(min=2), default=DEFAULT.days, show_default=True)
@click.option(
    "--list-length", type=click.IntRange(min=1), default=DEFAULT.list_length, show_default=True, help="Items of a list."
)
@click.option(
    "--exploration",
    type=click.FloatRange(0, 1),
    default=DEFAULT.exploration,
    show_default=True,
    help="Share of the lists in a random order.",
)
@click.option(
    "--click-model",
    type=click.Choice(["position", "cascade"]),
    default=DEFAULT.click_model,
    show_default=True,
    help="Each position is looked at by itself, or from the top to the first click.",
)
@click.option(
    "--position-decay",
    type=click.FloatRange(min=0),
    default=DEFAULT.position_decay,
    show_default=True,
    help="Position k is looked at with probability 1 / k ** this.",
)
@click.option("--drift", type=click.FloatRange(0, 1), default=DEFAULT.drift, show_default=True, help="Of the tastes.")
@click.option("--seed", type=click.IntRange(min=0), default=DEFAULT.seed, show_default=True)
@click.option("--force", is_flag=True, help="Replace an earlier simulation in OUT.")
def simulate(out: Path, force: bool, **settings: Any) -> None:
    """Make up a shop in OUT, all synthetic: items, users with known tastes, what they saw and clicked."""
    written = write_simulation(out, Settings(**settings), force=force)
    click.echo(f"wrote {written}: SYNTHETIC, truth in {out / 'truth'}; run `recsys import --config {written}`")
