"""Spans, where recsys[otel] is installed; and what is said where it is not."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from recsys.errors import ConfigError
from serving import tracing
from serving.api import create_app
from serving.events import EventLog
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.test_traffic import RANK, StagedEngine

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def spans_of(folder: Path, engine: FakeEngine, *requests: dict[str, Any]) -> list[Any]:
    """Those of rank requests with these headers."""
    pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    tracer = tracing.Tracer(SimpleSpanProcessor(exporter), "shop")
    with EventLog.open(folder / "events.db") as log:
        app = create_app(Service(log, CONFIG, engine), follower=tracer)
        with TestClient(app, raise_server_exceptions=False) as client:
            for headers in requests:
                client.post("/v1/rank", json=RANK, headers=headers)
    tracer.close()
    return list(exporter.get_finished_spans())


def test_a_request_is_a_span_of_its_callers_trace_with_one_for_each_stage(tmp_path):
    stage, request = spans_of(tmp_path, StagedEngine(), {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert (stage.name, request.name) == ("text_interest", "POST /v1/rank")
    assert f"{request.context.trace_id:032x}" == f"{stage.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert stage.parent.span_id == request.context.span_id
    assert request.start_time <= stage.start_time < stage.end_time <= request.end_time
    assert stage.end_time - stage.start_time >= 3_000_000
    assert request.attributes["http.route"] == "/v1/rank"
    assert request.attributes["http.response.status_code"] == 200
    assert request.resource.attributes["recsys.project"] == "shop"


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-nonsense"}])
def test_without_a_caller_that_traces_it_begins_a_trace(tmp_path, headers):
    (_, request) = spans_of(tmp_path, StagedEngine(), headers)
    assert request.parent is None


def test_a_fault_of_the_server_is_an_error_of_its_span(tmp_path):
    class Broken(FakeEngine):
        def rank(self, *_: Any, **__: Any) -> Any:
            raise ValueError("u")

    (request,) = spans_of(tmp_path, Broken(), {})
    assert (request.status.status_code.name, request.attributes["http.response.status_code"]) == ("ERROR", 500)
    assert request.events == ()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(tracing, "NEEDED", ("opentelemetry.no_such_part", "no_such_package.part"))
    with pytest.raises(ConfigError, match=r"pip install 'recsys\[otel\]'"):
        tracing.tracer_to_collector("shop")


def test_nothing_of_it_is_imported_unless_it_is_asked_for():
    code = (
        # Feast brings a part of it by way of FastAPI.
        "import sys, serving.tracing; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(find_spec("opentelemetry") is None, reason="no opentelemetry-api")
def test_the_exporter_is_looked_for_without_loading_it():
    assert isinstance(tracing._is_there("opentelemetry.exporter.otlp.proto.http"), bool)
