import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recsys.errors import DataError
from recsys.importing import import_tables
from recsys.simulation import Settings, simulate
from recsys.simulation.command import simulate as command
from recsys.simulation.truth_files import read_truth
from recsys.simulation.writing import write_simulation
from recsys.workspace import Workspace

SMALL = Settings(users=30, items=40, impressions=500, days=20, list_length=5, seed=4)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.open(write_simulation(tmp_path_factory.mktemp("simulated") / "shop", SMALL))


def test_a_simulation_imports_without_a_refused_row(workspace: Workspace):
    summary = import_tables(workspace)
    simulated = simulate(SMALL)
    for table, counts in summary.tables.items():
        assert counts.kept == counts.read == len(getattr(simulated, table))
    shown = workspace.read_impressions()
    assert shown is not None
    assert shown["propensities"].list.len().to_list() == [5] * 500


def test_the_last_fifth_of_a_short_log_is_held_back(workspace: Workspace):
    assert str(workspace.config.split.test_start) == "2025-01-17 00:00:00+00:00"
    assert workspace.config.split.validation_days == 4


def test_the_truth_that_is_read_is_the_truth_that_made_the_log(workspace: Workspace):
    truth, simulated = read_truth(workspace.root / "truth"), simulate(SMALL)
    assert truth.settings == SMALL
    assert np.array_equal(truth.attractiveness(at=0.5), simulated.truth.attractiveness(at=0.5))
    assert truth.examination.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])


def test_the_folder_says_everywhere_that_it_is_synthetic(workspace: Workspace):
    assert "Nothing here is real" in (workspace.root / "README.md").read_text()
    assert (workspace.root / "recsys.toml").read_text().startswith("# SYNTHETIC")
    assert "synthetic" in workspace.config.name
    assert all(
        "synthetic" in path for path in (workspace.config.source.items or "", workspace.config.source.users or "")
    )


def test_truth_of_another_version_is_refused(workspace: Workspace, tmp_path: Path):
    for file in (workspace.root / "truth").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    header = tmp_path / "settings.json"
    header.write_text(header.read_text().replace('"SHARPNESS": 5.0', '"SHARPNESS": 4.0'))
    with pytest.raises(DataError, match=r"'SHARPNESS': 4.0.*run `recsys simulate` anew"):
        read_truth(tmp_path)
    with pytest.raises(DataError, match="expected the truth of a simulation"):
        read_truth(tmp_path / "nowhere")


def test_an_earlier_simulation_is_replaced_only_by_force_and_anything_else_never(tmp_path: Path):
    write_simulation(tmp_path, SMALL)
    with pytest.raises(DataError, match="a simulation lies there already; pass --force"):
        write_simulation(tmp_path, SMALL)
    write_simulation(tmp_path, SMALL, force=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "recsys.toml").write_text("name = 'mine'")
    with pytest.raises(DataError, match=re.escape("recsys.toml lies there and is no simulation")):
        write_simulation(other, SMALL, force=True)
    assert (other / "recsys.toml").read_text() == "name = 'mine'"


def test_the_command_writes_what_its_options_say(tmp_path: Path):
    arguments = [str(tmp_path / "out"), "--users", "30", "--items", "40", "--impressions", "500", "--seed", "7"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "SYNTHETIC" in done.output
    assert read_truth(tmp_path / "out" / "truth").settings == Settings(users=30, items=40, impressions=500, seed=7)
