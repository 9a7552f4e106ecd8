"""Spans of OpenTelemetry, one a request with one for each of its stages, where [serving] traces says so.

A `traceparent` header (https://www.w3.org/TR/trace-context/) makes the request a part of its caller's trace. Where
spans go is said by the variables of OpenTelemetry, as in OTEL_EXPORTER_OTLP_ENDPOINT. Needs recsys[otel]; nothing of
it is imported otherwise.
"""

import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from recsys.errors import ConfigError
from serving.watching import Watched

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanProcessor

NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
SERVICE_NAME: Final = "recsys"


class Tracer:
    """Makes the spans of a request when it is over."""

    def __init__(self, processor: "SpanProcessor", project: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": SERVICE_NAME, "recsys.project": project})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("recsys")
        self._propagator = TraceContextTextMapPropagator()

    def __call__(self, route: str, watched: Watched, seconds: float, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Called as soon as the request is over; its moments are counted back from now."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        ended = time.time_ns()
        began = ended - round(seconds * 1e9)
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name in _TRACE_HEADERS}
        method, _, path = route.partition(" ")
        span = self._tracer.start_span(
            route,
            context=self._propagator.extract(sent) if sent else None,
            kind=SpanKind.SERVER,
            start_time=began,
            attributes={
                "http.request.method": method,
                "http.route": path,
                "http.response.status_code": watched.status,
                "recsys.request_id": watched.request_id,
                "recsys.degraded": list(watched.degraded),
            },
        )
        inside = set_span_in_context(span)
        for stage in watched.stages:
            start = began + round((stage.began - watched.began) * 1e9)
            part = self._tracer.start_span(stage.stage, context=inside, start_time=start)
            part.end(start + round(stage.seconds * 1e9))
        if watched.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


_TRACE_HEADERS: Final = (b"traceparent", b"tracestate")


def tracer_to_collector(project: str) -> Tracer:
    """Sends spans by OTLP over HTTP, off the path of the requests. Raises ConfigError without recsys[otel]."""
    if not all(_is_there(module) for module in NEEDED):
        raise ConfigError(
            "serving.traces: OpenTelemetry is not installed; pip install 'recsys[otel]', or set traces = false"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return Tracer(BatchSpanProcessor(OTLPSpanExporter()), project)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
