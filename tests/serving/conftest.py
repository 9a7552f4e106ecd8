"""What several tests of the server share."""

from pathlib import Path

import pytest

from recsys.bundle_files import SCORER_FILE
from tests.serving.made_bundle import WORDS


@pytest.fixture(scope="session")
def made_scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scorer.onnx for the made bundle: an untrained user tower."""
    from training.export_scorer import export_scorer
    from training.user_tower import UserTower

    folder = tmp_path_factory.mktemp("made_scorer")
    export_scorer(UserTower(["click"], {"click": 1.0}, temperature=15.0), len(WORDS), folder / SCORER_FILE)
    return folder / SCORER_FILE
