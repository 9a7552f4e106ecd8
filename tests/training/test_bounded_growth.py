"""However often a project is retrained, it does not grow for that. All but the training itself is as it is."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recsys.bundle import champion, decision_path, publish, read_manifest
from recsys.config import Bundles
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from tests.recsys.test_bundle import manifest, two_files
from tests.training.project import config_of
from tests.training.test_gate import DAY, decided
from training import retraining
from training.checks_report import ChecksReport
from training.gate import Decision
from training.retraining import Outcome, retrain
from training.stages import KEPT, Stages

KEEP = 2
STAGES = ("text_carried", "ranker", "challenger")


class FakePipeline:
    """Its stages write a file each."""

    cut = end = DAY

    def __init__(self, workspace: Workspace, number: int) -> None:
        self.workspace, self.number, self.identity = workspace, number, f"made-{number:03}"

    def train(self) -> dict[str, Path]:
        stages = Stages(self.workspace)
        return {name: stages.run(name, self.number, lambda into: (into / "model").touch()) for name in STAGES}

    def publish(self, report: object, *, instead_of: str | None) -> None:
        made = msgspec.structs.replace(
            manifest(self.identity),
            created_at=DAY + timedelta(days=self.number),
            text={"stage": self.train()["text_carried"].name},
        )
        publish(self.workspace.bundles, made, two_files)
        Shelf(self.workspace).promote(self.identity, instead_of=instead_of)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project with a store. From the second on, five of six challengers are refused."""
    numbers, keys = iter(range(1000)), iter(range(1000))

    def decision(_: object, pipeline: FakePipeline, *__: object, **___: object) -> Decision:
        pipeline.train()
        is_better = pipeline.number % 6 == 0
        return msgspec.structs.replace(decided(None, champion=None), challenger=pipeline.identity, promoted=is_better)

    fakes: dict[str, Any] = {
        "_export": lambda workspace: None,
        "_import": lambda workspace, now: None,
        "check_logs": lambda workspace, now: ChecksReport(now, None, None, []),
        "_key": lambda workspace: str(next(keys)),
        "_pipeline": lambda workspace, serving, **_: FakePipeline(workspace, next(numbers)),
        "_users_to_measure": lambda pipeline: 1000,
        "fill_online": lambda pipeline: None,
        "publish_models": FakePipeline.publish,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(retraining, name, fake)
    monkeypatch.setattr(retraining._Retraining, "_decision", decision)
    for name in ("shop", "store"):
        (tmp_path / name).mkdir()
    bundles = Bundles(url=f"file://{tmp_path}/store", keep=KEEP)
    return Workspace(tmp_path / "shop", msgspec.structs.replace(config_of(), bundles=bundles))


def folders(workspace: Workspace) -> dict[str, int]:
    """How many there are of each kind."""
    kinds = Counter(path.name.rpartition("-")[0] for path in workspace.cache.iterdir())
    kinds["bundle"] = sum(path.is_dir() for path in workspace.bundles.iterdir())
    kinds["bundle in the store"] = sum(1 for _ in (workspace.root.parent / "store" / "bundles").iterdir())
    return dict(kinds)


def test_after_many_retrainings_there_are_no_more_folders_than_after_a_few(workspace):
    outcomes, counts = [], []
    for _ in range(43):
        outcomes.append(retrain(workspace, now=DAY))
        counts.append(folders(workspace))
        text = read_manifest(champion(workspace.bundles)).text["stage"]
        assert (workspace.cache / text).exists(), "the next retraining would train the text model anew"
    assert outcomes.count(Outcome.PROMOTED) == 8
    # The latest of each stage; of the text also those of the champion and of the one before.
    stages = {"text_carried": KEPT + 2, "ranker": KEPT, "challenger": KEPT}
    assert counts[11] == counts[41] == {**stages, "bundle": KEEP, "bundle in the store": KEEP}
    assert champion(workspace.bundles).name == "made-042"
    # Every decision is known.
    assert all(decision_path(workspace.bundles, f"made-{number:03}").exists() for number in range(43))
