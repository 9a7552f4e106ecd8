"""What the routes share: the engine that answers now, the event log and the configuration."""

from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.exceptions import ServiceUnavailableException

from recsys.config import Config
from serving.events import EventLog
from serving.protocol import Engine


@dataclass
class Service:
    """Changing `engine` changes what answers the next request."""

    event_log: EventLog
    config: Config
    engine: Engine | None = None
    """None until it is loaded."""

    def ready_engine(self) -> Engine:
        """The engine. Raises the 503 while there is none."""
        if self.engine is None:
            raise ServiceUnavailableException(
                "the engine is still loading; try again, GET /readyz tells when", headers={"Retry-After": "1"}
            )
        return self.engine


def service_of(request: Request[Any, Any, Any]) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service
