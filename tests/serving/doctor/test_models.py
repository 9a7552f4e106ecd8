"""Checks of bundle and store that need no whole deployment."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from recsys.bundle import Bundle, Manifest
from recsys.config import Config, InteractionType, Source
from recsys.workspace import Workspace
from serving.doctor import models

NOW = datetime(2024, 5, 10, tzinfo=UTC)


def manifest(**versions: str) -> Manifest:
    return Manifest(
        bundle_id="b",
        created_at=NOW,
        dataset="d",
        trained_from=None,
        trained_until=None,
        versions=versions,
        features=[],
    )


def test_packages_of_other_versions_than_those_that_wrote_the_bundle_are_named_and_absent_ones_are_not():
    lightgbm = version("lightgbm")
    assert models.versions_match(manifest(lightgbm=lightgbm, no_such_package="1")).state == "ok"
    found = models.versions_match(manifest(lightgbm="1.0"))
    assert (found.state, found.found) == ("warning", f"lightgbm {lightgbm} reads what 1.0 wrote")


@pytest.mark.parametrize(("ahead", "state"), [(timedelta(minutes=4), "ok"), (timedelta(days=3), "problem")])
def test_a_bundle_of_the_future_shows_that_the_clock_is_wrong(tmp_path, ahead, state):
    config = Config(name="n", source=Source(interactions="i"), interaction_types={"click": InteractionType(label=True)})
    workspace = Workspace(tmp_path, config)
    found = models.clock_right(Bundle(Path("b"), manifest()), workspace, NOW - ahead)
    assert found.state == state


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=5), "5 seconds"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_ages_are_said_as_people_say_them(span, said):
    assert models.age(span) == said


def test_a_gpu_that_is_asked_for_and_not_there_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "has_nvidia_gpu", lambda: False)
    bundle = Bundle(tmp_path, manifest())
    assert models.gpu_used(bundle, "auto").state == "ok"
    assert "no NVIDIA GPU can be reached" in models.gpu_used(bundle, "fp16").found


def test_a_gpu_that_onnx_runtime_cannot_use_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(models, "execution_providers", lambda: ["CPUExecutionProvider"])
    found = models.gpu_used(Bundle(tmp_path, manifest()), "auto")
    assert (found.state, "requirements/gpu.txt" in found.mend) == ("warning", True)
