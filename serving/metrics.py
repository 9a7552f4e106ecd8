"""The route for Prometheus: GET /metrics."""

import time
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from recsys.bundle import MANIFEST
from serving.access import needs
from serving.drift_state import DriftState
from serving.events import EventLog
from serving.service import Service, service_of
from serving.watch import Watch

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@get("/metrics", operation_id="metrics", guards=[needs("metrics")], media_type=MEDIA_TYPE)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """How requests were answered, how stale is what the answers are made of, and whether the event log takes what is
    sent; for Prometheus."""
    service, registry = service_of(request), CollectorRegistry()
    for state in (
        EngineState(service),
        service.traffic,
        DriftState(service.drift),
        EventLogState(service.event_log),
        ProcessState(request.app.state.watch),
    ):
        registry.register(state)
    return Response(generate_latest(registry), media_type=MEDIA_TYPE)


class EngineState(Collector):
    """What the engine knows at the moment that it is asked; nothing before it is loaded."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        engine = self._service.engine
        if engine is None:
            return
        known = engine.freshness()
        now = time.time()
        yield InfoMetricFamily("recsys_bundle", "The model bundle that serves", {"bundle": engine.bundle_id})
        for name, help_text, value in (
            ("snapshot_age_seconds", "Since the features were put into the online store", now - known.written_at),
            ("snapshot_staleness_seconds", "Since the moment of these features", now - known.as_of),
            ("latest_event_age_seconds", "Since the latest event that answers know of", now - known.latest),
            ("events_followed", "Place in the event log up to which answers know the events", known.events),
        ):
            yield GaugeMetricFamily(f"recsys_{name}", help_text, value)
        created_at = self._bundle_created_at(engine.bundle_id)
        if created_at is not None:
            yield GaugeMetricFamily(
                "recsys_bundle_age_seconds", "Since the bundle that serves was made", now - created_at.timestamp()
            )
        yield GaugeMetricFamily(
            "recsys_rules_refused",
            "1 while recsys.toml has rules that cannot be used; those before them stay in force",
            float(self._service.rules_refused),
        )
        if self._service.mirror is not None:
            yield GaugeMetricFamily(
                "recsys_bundle_store_failing",
                "1 while the champion of the object store cannot be followed; the one of this machine serves on",
                float(self._service.mirror.problem is not None),
            )

    def _bundle_created_at(self, bundle_id: str) -> datetime | None:
        """None of one that was removed from the disk, on which it serves on."""
        if self._service.bundles is None:
            return None
        try:
            return _created_at(self._service.bundles / bundle_id / MANIFEST)
        except FileNotFoundError:
            return None


class ProcessState(Collector):
    """What all projects of the server share."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "recsys_requests_in_flight", "Requests that this process has begun to answer", float(self._watch.in_flight)
        )


class _Manifest(msgspec.Struct):
    created_at: datetime


@lru_cache(maxsize=8)
def _created_at(manifest: Path) -> datetime:
    """Kept: a bundle never changes."""
    return msgspec.json.decode(manifest.read_bytes(), type=_Manifest).created_at


class EventLogState(Collector):
    """Whether the event log of this process takes what is sent to it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def collect(self) -> Iterator[Metric]:
        log = self._log
        for name, help_text, value in (
            ("event_log_failing", "1 while the event log cannot be written: events are refused", float(log.failing)),
            ("event_log_waiting", "Requests and impressions that wait for the disk", float(log.waiting)),
            ("event_log_bytes", "Size of the event log on the disk", float(log.size_bytes)),
        ):
            yield GaugeMetricFamily(f"recsys_{name}", help_text, value)
        yield CounterMetricFamily(
            "recsys_impressions_dropped", "Impressions that were shown and could not be logged", float(log.dropped)
        )
