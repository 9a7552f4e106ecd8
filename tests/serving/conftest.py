"""What several tests of the server share."""

from pathlib import Path

import pytest

from recsys.bundle_files import SCORER_FILE
from tests.serving.made_bundle import WORDS


@pytest.fixture(scope="session")
def made_scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scorer.onnx for the made bundle."""
    from training.export import export_scorer

    folder = tmp_path_factory.mktemp("made_scorer")
    export_scorer(len(WORDS), folder)
    return folder / SCORER_FILE
