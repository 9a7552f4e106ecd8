"""Applications with keys, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from litestar.testing import TestClient

from recsys.config import Config
from serving.api import create_app
from serving.events import EventLog
from serving.keys import Limits, Scope, make_key
from serving.keys_file import KeysFile, LiveKeys
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine

SCOPES: tuple[Scope, ...] = ("rank", "ingest", "admin", "metrics")


def add_key(file: KeysFile, *scopes: Scope, days: float | None = None, **limits: Any) -> str:
    """A key with these scopes, or with all, that is good for so many days from now."""
    now = datetime.now(UTC)
    ends = None if days is None else now + timedelta(days=days)
    text, kept = make_key("test", scopes or SCOPES, now=now, expires_at=ends, limits=Limits(**limits))
    file.change(lambda keys: [*keys, kept])
    return text


def id_of(key: str) -> str:
    return key.split("_")[1]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@contextmanager
def keyed_client(folder: Path, config: Config = CONFIG, **security: Any) -> Iterator[tuple[TestClient[Any], KeysFile]]:
    """An application over a fake engine, whose keys are followed without a pause."""
    file = KeysFile(folder / "keys.json")
    config = msgspec.structs.replace(config, security=msgspec.structs.replace(config.security, **security))
    with EventLog.open(folder / "events.db") as log:
        service = Service(log, config, FakeEngine(), keys=LiveKeys(file, clock=EverySecond()))
        app = create_app(service)
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            yield client, file


class EverySecond:
    """A clock on which a second passes at each look."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1.0
        return self._now
