"""The latest drift of a project, for Prometheus: one series for each kind, however many features and topics there are.

Reads   tables/drift.json, anew whenever it changes
"""

import logging
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recsys.drift import KINDS, DriftReport, read_drift
from recsys.errors import DataError

_LOG: Final = logging.getLogger(__name__)


class DriftState(Collector):
    """Nothing where nothing was measured."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def collect(self) -> Iterator[Metric]:
        report = None if self._path is None else latest(self._path)
        if report is None:
            return
        moved = GaugeMetricFamily(
            "recsys_drift",
            "What moved most of each kind: a population stability index; of clicks the share beyond those expected",
            labels=("what",),
        )
        alerts = GaugeMetricFamily("recsys_drift_alerts", "How much of each kind has moved too far", labels=("what",))
        for kind in KINDS:
            figures = [figure for figure in report.figures if figure.kind == kind]
            if figures:
                moved.add_metric((kind,), max(figure.value for figure in figures))
                alerts.add_metric((kind,), float(sum(figure.level == "alert" for figure in figures)))
        yield moved
        yield alerts
        yield GaugeMetricFamily(
            "recsys_drift_age_seconds", "Since the drift was measured", time.time() - report.measured_at.timestamp()
        )


def latest(path: Path) -> DriftReport | None:
    """What the file says; None while there is none, or none that can be read, which is logged once."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return _read(path, about.st_mtime_ns, about.st_size, about.st_ino)


@lru_cache(maxsize=8)
def _read(path: Path, *_: int) -> DriftReport | None:
    """Kept for each state of the file."""
    try:
        return read_drift(path)
    except DataError as error:
        _LOG.warning("%s", error)
        return None
