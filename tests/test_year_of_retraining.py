"""The year of Online Retail, month by month through the event API of a running server, with a retraining each month."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from recsys.bundle import champion, decision_path, open_bundle
from recsys.metrics import per_user_metrics
from recsys.workspace import Workspace
from tests.commands import Server, serving
from tests.year import STARTS, WORSE, tables, year_project
from training import retraining
from training.contenders import champion_of
from training.gate import Decision, decide
from training.pipeline import Pipeline
from training.retraining import Outcome, retrain

RETRAIN = "import sys; from recsys.cli import main; sys.argv[0] = 'recsys'; main()"
BATCH = 1000
WORSE_AT = STARTS[4]
"""Then the settings are worse for one retraining."""
KILLED_AT = (STARTS[3], STARTS[7])
STAGES = ("import interactions", "features", "training the ranker", "looking for leaks", "measuring challenger on all")
FOLLOWS_WITHIN_S = 60


class Ungated(Workspace):
    """The same project with champions of its own, which no gate stands before."""

    @property
    def bundles(self) -> Path:
        return self.root / "ungated"

    @property
    def retrain(self) -> Path:
        return self.root / "ungated.json"


def in_process(config: Path, killed_at: str | None = None) -> int:
    """`recsys retrain`; killed once it says that this stage begins. Returns its exit code."""
    command = [sys.executable, "-c", RETRAIN, "retrain", "--config", str(config)]
    said = ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if killed_at is not None and line.startswith(f"{killed_at} …"):
                process.send_signal(signal.SIGKILL)
    assert process.returncode in (Outcome.PROMOTED, Outcome.KEPT, -signal.SIGKILL), said
    return process.returncode


def send(server: Server, rows: pl.DataFrame) -> None:
    """The events of a month, all of which are acknowledged."""
    events = rows.select(
        "event_id", "user_id", "item_id", "event_type", "value", pl.col("timestamp").dt.to_string("%+")
    )
    for batch in events.iter_slices(BATCH):
        status, answer = server.post("/v1/events", {"events": batch.to_dicts()})
        assert status == 200
        assert {one["status"] for one in answer["results"]} == {"stored"}


def wait_until_it_serves(server: Server, bundle: str) -> None:
    until = time.monotonic() + FOLLOWS_WITHIN_S
    while (answer := server.post("/v1/recommend", {"user_id": "nobody"})[1])["bundle"] != bundle:
        assert time.monotonic() < until, answer["bundle"]
        time.sleep(0.1)
    assert "bundle" not in " ".join(answer["degraded"])


def always(*arguments: Any, **options: Any) -> Decision:
    """What decides where there is no gate."""
    return msgspec.structs.replace(decide(*arguments, **options), promoted=True, reasons=[])


def ndcg_of(workspace: Workspace, start: datetime, until: datetime, bundles: Mapping[str, Path]) -> dict[str, float]:
    """Mean ndcg@10 of each over the users who bought in a month, with the features of its beginning."""
    pipeline = Pipeline(workspace, cut=start)
    pipeline.interactions = pipeline.interactions.filter(pl.col("timestamp") < until)
    pipeline.store.snapshot(pipeline.interactions, pipeline.catalogue, [start])
    found = {}
    for name, path in bundles.items():
        contender = champion_of(pipeline, open_bundle(path))
        top, _, _ = contender.rank(name, "all", 10)
        relevant = [case.relevant for case in contender.cases["all"]]
        found[name] = float(per_user_metrics(top, relevant)["ndcg@10"].mean())
    return found


def copied(root: Path, to: Path) -> Workspace:
    """The project as it is; Feast's registry names its files by their place, so it is made anew."""
    shutil.copytree(root, to)
    shutil.rmtree(to / "features")
    return Workspace.open(to / "recsys.toml")


def state_of(workspace: Workspace) -> dict[str, Any]:
    """What a retraining leaves behind, without the times that it took."""
    last = json.loads(workspace.retrain.read_bytes())
    decision = json.loads(decision_path(workspace.bundles, last["challenger"]).read_bytes())
    bundle = open_bundle(champion(workspace.bundles)).manifest
    return {
        "retrain.json": last,
        "promoted": decision["promoted"],
        "whole": decision["contest"]["whole"],
        "champion": bundle.bundle_id,
        "files": bundle.files,
    }


def killed_and_run_again(workspace: Workspace, stage: str, folder: Path) -> None:
    """A retraining that is killed in a stage and begun again ends as one that is left alone."""
    alone = copied(workspace.root, folder)
    retrain(alone)
    config = workspace.root / "recsys.toml"
    assert in_process(config, killed_at=stage) == -signal.SIGKILL
    in_process(config)
    assert state_of(workspace) == state_of(alone)
    shutil.rmtree(folder)


def test_a_year_of_retraining_serves_at_least_as_well_as_without_a_gate_and_better_than_one_training(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, draw = tmp_path_factory.mktemp("year"), random.Random(1)  # noqa: S311
    interactions, items = tables(folder)
    workspace = year_project(folder / "gated", tiny_encoder, interactions, items)
    ungated = Ungated(workspace.root, workspace.config)
    config = workspace.root / "recsys.toml"
    settings = config.read_text()

    assert in_process(config) == Outcome.PROMOTED
    once = champion(workspace.bundles)
    shutil.copytree(workspace.bundles, ungated.bundles)
    shutil.copyfile(workspace.retrain, ungated.retrain)
    figures, decisions = [], []
    with serving(config, may_complain=True) as server:
        for start, end in pairwise(STARTS):
            served = {"gated": champion(workspace.bundles), "ungated": champion(ungated.bundles), "once": once}
            wait_until_it_serves(server, served["gated"].name)
            in_month = (pl.col("timestamp") >= start) & (pl.col("timestamp") < end)
            send(server, interactions.filter(in_month))
            if end == WORSE_AT:
                assert WORSE[0] in settings
                config.write_text(settings.replace(*WORSE))
            if end in KILLED_AT:
                killed_and_run_again(workspace, draw.choice(STAGES), folder / "alone")
            else:
                in_process(config)
            now = Workspace.open(config)
            with monkeypatch.context() as patch:
                patch.setattr(retraining, "decide", always)
                patch.setattr(retraining, "hold", lambda *_: None)
                patch.setattr(retraining, "audit_leaks", lambda *_, **__: [])
                retrain(Ungated(now.root, now.config))
            challenger = json.loads(workspace.retrain.read_bytes())["challenger"]
            decisions.append(
                msgspec.json.decode(decision_path(workspace.bundles, challenger).read_bytes(), type=Decision)
            )
            config.write_text(settings)
            figures.append(ndcg_of(workspace, start, end, served))

    assert workspace.read_table("interactions").height == interactions.filter(pl.col("timestamp") < STARTS[-1]).height
    assert len({decision.challenger for decision in decisions}) == len(STARTS) - 1
    worse = decisions[STARTS.index(WORSE_AT) - 1]
    assert not worse.promoted
    assert worse.reasons[0].startswith("ndcg@10 differs by -")
    assert sum(decision.promoted for decision in decisions) >= len(decisions) // 2
    mean = {name: float(np.mean([figure[name] for figure in figures])) for name in figures[0]}
    assert mean["gated"] > mean["ungated"], figures
    assert mean["gated"] > mean["once"] + 0.005, figures
