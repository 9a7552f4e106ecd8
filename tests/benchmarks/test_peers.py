import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from benchmarks import peers
from benchmarks.peers_split import Cases
from tests.benchmarks.quick import ROOT, quick


def written(folder: Path, name: str, **ranked: list[int]) -> None:
    """Lists as a peer leaves them: one item, the best, for each user of a task."""
    (folder / name).mkdir(parents=True)
    for task, best in ranked.items():
        np.save(folder / name / f"ranked_{task}.npy", np.array(best)[:, None])
    tasks = {task: {"fit_seconds": 1.0, "ms_per_user": 2.0} for task in ranked}
    (folder / name / peers.RESULT).write_text(json.dumps({"peak_mb": 3.0, "tasks": tasks}))


ASKED = {task: Cases(["u", "v"], [frozenset({1}), frozenset({2})]) for task in ("all", "new")}


def test_a_claim_is_our_ndcg_over_that_of_the_best_peer_that_can_do_the_task(tmp_path):
    written(tmp_path, "personal_frequency", all=[1, 0])
    written(tmp_path, "als", all=[0, 0], new=[1, 0])
    written(tmp_path, "recsys", all=[1, 2], new=[1, 0])
    rows = peers.measure(tmp_path, ["personal_frequency", "als", "recsys"], ASKED)
    assert peers.claims_of(rows) == {
        "all_ndcg10_vs_best_peer": {"measured": 2.0, "target": 1.15, "unit": "× personal_frequency"},
        "new_ndcg10_vs_best_peer": {"measured": 1.0, "target": 1.3, "unit": "× als"},
    }


def test_the_interval_is_that_of_the_differences_of_the_same_users(tmp_path):
    written(tmp_path, "als", all=[0, 2], new=[1, 0])
    written(tmp_path, "recsys", all=[1, 2], new=[1, 0])
    rows = peers.measure(tmp_path, ["als", "recsys"], ASKED)
    mean, low, high = rows["als"]["tasks"]["all"]["behind"]
    # Of two users one is better off: drawn twice, once or never.
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    # Equal lists differ nowhere, however the users are drawn.
    assert rows["als"]["tasks"]["new"]["behind"] == (0.0, 0.0, 0.0)
    assert "behind" not in rows["recsys"]["tasks"]["all"]


def test_the_tables_have_the_best_of_each_task_first_and_what_each_peer_cost(tmp_path):
    written(tmp_path, "personal_frequency", all=[1, 0])
    written(tmp_path, "als", all=[0, 0], new=[1, 0])
    written(tmp_path, "recsys", all=[1, 2], new=[0, 0])
    of_all, of_new, cost = peers.tables_of(peers.measure(tmp_path, ["personal_frequency", "als", "recsys"], ASKED))
    assert [row[:2] for row in of_all.rows] == [
        ("recsys", "1.0000"),
        ("personal_frequency", "0.5000"),
        ("als", "0.0000"),
    ]
    assert [row[0] for row in of_new.rows] == ["als", "recsys"]
    assert of_all.rows[0][-1] == ""
    assert of_all.rows[1][-1] == "+0.500 [+0.000, +1.000]"
    assert cost.rows[1] == ("als", "", 1.0, 2.0, 3)


def test_a_peer_that_left_no_lists_is_named(tmp_path):
    with pytest.raises(click.ClickException, match="als holds no lists"):
        peers.measure(tmp_path, ["als"], ASKED)


def test_a_peer_without_its_environment_says_how_to_make_it(tmp_path):
    options = ["--only", "als", "--python", str(tmp_path / "none"), "--project", str(tmp_path), "--dir", str(tmp_path)]
    done = CliRunner().invoke(peers.main, options)
    assert done.exit_code == 1
    assert "`make peers` makes it" in done.output


def test_the_quick_peers_are_measured_without_an_environment_of_their_own(tmp_path):
    details = quick("peers", tmp_path)
    assert list(details["rows"]) == list(peers.QUICK)
    for name, row in details["rows"].items():
        assert row["peak_mb"] > 0
        assert list(row["tasks"]) == (["all"] if name == "personal_frequency" else ["all", "new"])
        for of_task in row["tasks"].values():
            assert 0 < of_task["ndcg@10"] < 1
            assert of_task["recall@10"] <= of_task["recall@100"]
    assert details["users"]["new"] <= details["users"]["all"]


@pytest.mark.parametrize("module", sorted(set(peers.IN_OURS.values())))
def test_a_module_has_the_peers_that_the_benchmark_asks_it_for(module: str):
    code = f"from benchmarks.peer_models.{module} import PEERS; print(*PEERS)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == [name for name, of in peers.IN_OURS.items() if of == module]


def test_every_line_of_the_peers_requirements_is_one_exact_version():
    lines = (ROOT / "requirements" / "peers.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all([specifier.operator for specifier in pin.specifier] == ["=="] for pin in pins)
    assert {pin.name.lower() for pin in pins} >= {"rectools", "lenskit", "pm-implicit", "torch"}
