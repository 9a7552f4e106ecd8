"""The alerts of examples/prometheus are about metrics that a server has."""

import re
from pathlib import Path

import msgspec
import yaml
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from recsys.drift import KINDS
from serving.api import create_app
from serving.events import EventLog
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.training.drift.reports import full_report

ROOT = Path(__file__).parents[1]
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "examples" / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]


def test_alerts_of_drift_are_about_metrics_and_labels_that_there_are(tmp_path: Path):
    (tmp_path / "drift.json").write_bytes(msgspec.json.encode(full_report()))
    with EventLog.open(tmp_path / "events.db") as log:
        service = Service(log, CONFIG, FakeEngine(), drift=tmp_path / "drift.json")
        with TestClient(create_app(service)) as client:
            text = client.get("/metrics").text
    families = list(text_string_to_metric_families(text))
    there = {sample.name: sample.labels.keys() for family in families for sample in family.samples}
    assert len(RULES) == 5
    for rule in RULES:
        named = re.findall(r"(recsys_\w+)(?:\{(\w+)=\"(\w+)\"\})?", rule["expr"])
        assert named, rule["alert"]
        for metric, label, value in named:
            assert metric in there, rule["alert"]
            assert not label or label in there[metric]
            assert label != "what" or value in KINDS
        assert rule["annotations"]["summary"]


def test_the_docs_name_every_alert_of_drift():
    text = (ROOT / "docs" / "drift.md").read_text("utf-8")
    for rule in RULES:
        assert f"`{rule['alert']}`" in text
