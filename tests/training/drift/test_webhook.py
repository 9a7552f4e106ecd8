import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.training.drift.reports import report_of
from training.drift import webhook as module
from training.drift.webhook import WebhookError, post, resolved, tell


class Hook(ThreadingHTTPServer):
    """Keeps what it is sent, and answers with the statuses it is told, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        self.bodies: list[Any] = []
        self.statuses = list(statuses) or [200]
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/hook?token=sesame"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert (self.headers["Content-Type"], self.path) == ("application/json", "/hook?token=sesame")
        self.server.bodies.append(json.loads(body))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.0, 0.0))


def test_alerts_are_sent_in_words_and_in_numbers_and_notes_are_not(hook):
    tell(hook.address, "shop", report_of(("lamps", "alert"), ("mugs", "note")))
    (body,) = hook.bodies
    assert body["text"] == "shop: drift\n- topics 'lamps': index 0.50, from 0.1 to 0.3"
    assert (body["project"], body["champion"], body["measured_at"]) == ("shop", "made", "2024-05-01T00:00:00Z")
    assert [(one["kind"], one["name"], one["value"]) for one in body["alerts"]] == [("topics", "lamps", 0.5)]


def test_what_was_told_is_not_told_again_and_without_anything_new_nothing_is_sent(hook):
    tell(hook.address, "shop", report_of(("lamps", "alert"), ("mugs", "alert"), told=["topics/lamps"]))
    tell(hook.address, "shop", report_of(("lamps", "alert"), told=["topics/lamps"]))
    assert [[one["name"] for one in body["alerts"]] for body in hook.bodies] == [["mugs"]]


def test_a_server_that_is_busy_is_asked_again(hook):
    hook.statuses = [503, 429, 200]
    post(hook.address, b"{}")
    assert len(hook.bodies) == 3


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (404, 1), (302, 1)])
def test_one_that_refuses_is_an_error_without_its_address(hook, status, attempts):
    hook.statuses = [status]
    with pytest.raises(WebhookError, match=f"it answered {status}") as error:
        post(hook.address, b"{}")
    assert "sesame" not in str(error.value)
    assert len(hook.bodies) == attempts


def test_one_that_is_not_there_is_an_error_without_its_address():
    with Hook() as gone:
        address = gone.address
    with pytest.raises(WebhookError, match="cannot be reached") as error:
        post(address, b"{}")
    assert "sesame" not in str(error.value)


def test_secrets_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", "sesame")
    assert resolved("https://chat.test/${HOOK_TOKEN}") == "https://chat.test/sesame"
    with pytest.raises(WebhookError, match=r"no environment variable \['HOOK_MISSING'\]"):
        resolved("https://chat.test/${HOOK_MISSING}")
    with pytest.raises(WebhookError, match="expected http") as error:
        resolved("${HOOK_TOKEN}")
    assert "sesame" not in str(error.value)
