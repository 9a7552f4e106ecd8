"""What the tests of the whole way share: the made-up shop, trained and measured once."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsys.workspace import Workspace
from tests.training.project import shop_project
from training.evaluate import evaluate
from training.pipeline import Pipeline


@dataclass(frozen=True)
class Evaluated:
    """A project after `recsys evaluate`; tests read it and leave it as it is."""

    workspace: Workspace
    pipeline: Pipeline
    report: dict[str, Any]

    def pipeline_again(self) -> Pipeline:
        """As another process would make it: nothing is in memory."""
        return Pipeline(self.workspace, cut=self.pipeline.cut)


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Evaluated:
    workspace = shop_project(tmp_path_factory.mktemp("shop"), tiny_encoder)
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    return Evaluated(workspace, pipeline, evaluate(pipeline, bundle="none yet"))


def copy_of(evaluated: Evaluated, root: Path) -> Workspace:
    """The project with all that was computed, for a test to change."""
    shutil.copytree(evaluated.workspace.root, root, dirs_exist_ok=True)
    return Workspace.open(root / "recsys.toml")
