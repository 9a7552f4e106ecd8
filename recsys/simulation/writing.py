"""Write a simulated log as a project that `recsys import` and `recsys train` take as it is.

Writes  OUT/recsys.toml, OUT/README.md
        OUT/synthetic/{items,users}.parquet and OUT/synthetic/{impressions,interactions}/PART.parquet
        OUT/truth/…, which recsys.simulation.truth_files reads

    recsys simulate OUT --impressions 50000
"""

import shutil
from pathlib import Path

from recsys.config import load_config
from recsys.errors import DataError
from recsys.progress import progress
from recsys.simulation.logs import Simulator
from recsys.simulation.project_files import config_text, readme_text
from recsys.simulation.settings import Settings
from recsys.simulation.truth_files import write_truth

LOGS, TRUTH, CONFIG = "synthetic", "truth", "recsys.toml"


def write_simulation(folder: Path, settings: Settings, *, force: bool = False) -> Path:
    """Simulate, write everything into the folder and return the path of its recsys.toml.

    force   replace an earlier simulation that lies there

    Raises ConfigError when the settings are not allowed, DataError when something lies there that must not go.
    """
    simulator = Simulator(settings)
    _make_room(folder, force=force)
    logs = folder / LOGS
    for made in (logs / "impressions", logs / "interactions", folder / TRUTH):
        made.mkdir(parents=True)
    write_truth(simulator.truth, simulator.shop.popularity, folder / TRUTH)
    simulator.truth.items.table.write_parquet(logs / "items.parquet")
    simulator.truth.users.table.write_parquet(logs / "users.parquet")
    with progress("simulating impressions (synthetic)", settings.impressions) as advance:
        for nth, part in enumerate(simulator.parts()):
            part.impressions.write_parquet(logs / "impressions" / f"{nth:05}.parquet")
            part.interactions.write_parquet(logs / "interactions" / f"{nth:05}.parquet")
            advance(len(part.impressions))
    (folder / "README.md").write_text(readme_text(settings), encoding="utf-8")
    # Last: whoever finds it finds everything that it names.
    config = folder / CONFIG
    config.write_text(config_text(settings), encoding="utf-8")
    load_config(config)
    return config


def _make_room(folder: Path, *, force: bool) -> None:
    """Remove an earlier simulation; nothing else is ever removed."""
    taken = [name for name in (CONFIG, LOGS, TRUTH) if (folder / name).exists()]
    if not taken:
        return
    if not (folder / TRUTH / "settings.json").exists():
        raise DataError(f"{folder}: {', '.join(taken)} lies there and is no simulation; name a new or empty folder")
    if not force:
        raise DataError(
            f"{folder}: a simulation lies there already; pass --force to replace it, or name another folder"
        )
    (folder / CONFIG).unlink(missing_ok=True)
    for name in (LOGS, TRUTH):
        shutil.rmtree(folder / name, ignore_errors=True)
