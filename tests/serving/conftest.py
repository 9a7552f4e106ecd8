"""What several tests of the server share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from recsys.bundle_files import SCORER_FILE
from serving.api import create_app
from serving.events import EventLog
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.made_bundle import WORDS


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def service(log_path: Path) -> Iterator[Service]:
    with EventLog.open(log_path) as log:
        yield Service(log, CONFIG, FakeEngine())


@pytest.fixture
def client(service: Service) -> Iterator[TestClient[Any]]:
    # As a server does it: an exception is an answer, not an exception of the test.
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def made_scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scorer.onnx for the made bundle: an untrained user tower."""
    from training.export_scorer import export_scorer
    from training.user_tower import UserTower

    folder = tmp_path_factory.mktemp("made_scorer")
    export_scorer(UserTower(["click"], {"click": 1.0}, temperature=15.0), len(WORDS), folder / SCORER_FILE)
    return folder / SCORER_FILE
