import logging
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from recsys.drift import KINDS, DriftReport
from serving import drift_state as module
from serving.api import create_app
from serving.drift_state import DriftState
from serving.events import EventLog
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.test_traffic import samples
from tests.training.drift.reports import MEASURED_AT, figure, full_report, report_of


def write(path: Path, report: DriftReport) -> None:
    path.write_bytes(msgspec.json.encode(report))


def collected(path: Path | None) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("what", "")): sample.value
        for family in DriftState(path).collect()
        for sample in family.samples
    }


def test_there_is_a_series_for_each_kind_with_what_moved_most_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module.time, "time", lambda: MEASURED_AT.timestamp() + 60)
    write(tmp_path / "drift.json", full_report())
    found = collected(tmp_path / "drift.json")
    assert found["recsys_drift", "features"] == 0.5
    assert found["recsys_drift", "topics"] == 0.5
    assert found["recsys_drift", "clicks"] == -0.4
    assert (found["recsys_drift_alerts", "topics"], found["recsys_drift_alerts", "scores"]) == (1, 0)
    assert found["recsys_drift_age_seconds", ""] == 60
    assert {what for _, what in found} <= {*KINDS, ""}
    assert ("recsys_drift", "unknown_items") not in found


def test_a_newer_file_is_read_anew_and_without_one_there_is_nothing(tmp_path):
    path = tmp_path / "drift.json"
    assert collected(path) == collected(None) == {}
    for value in (0.5, 0.75):
        write(path, report_of(figures=[figure("scores", "scores", "alert", value)]))
        assert collected(path)["recsys_drift", "scores"] == value


def test_a_file_that_cannot_be_read_shows_nothing_and_is_logged_once(tmp_path, caplog):
    path = tmp_path / "drift.json"
    path.write_text("{")
    with caplog.at_level(logging.WARNING):
        assert collected(path) == collected(path) == {}
    assert len([record for record in caplog.records if "recsys drift" in record.getMessage()]) == 1


@pytest.mark.parametrize("measured", [True, False])
def test_the_metrics_of_a_server_have_it_once_it_was_measured(tmp_path, measured):
    if measured:
        write(tmp_path / "drift.json", full_report())
    with EventLog.open(tmp_path / "events.db") as log:
        service = Service(log, CONFIG, FakeEngine(), drift=tmp_path / "drift.json")
        with TestClient(create_app(service)) as client:
            found = samples(client.get("/metrics").text)
    assert (("recsys_drift_alerts", ("topics",)) in found) == measured
