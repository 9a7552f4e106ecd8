"""The log of a server, on standard error: lines for people, or JSON lines; nothing in them is about a person.

Our own messages name no user, query or key. Others' may: of those the constant part is kept, and of an exception its
kind and its places, not its words.
"""

import logging
import re
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

import msgspec

from serving.watching import CURRENT

Format = Literal["text", "json"]

OURS: Final = ("recsys", "features", "serving", "training")
_KEY: Final = re.compile(r"(recsys_[0-9a-f]{16})_[0-9a-f]{64}")

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_to_stderr(form: Format) -> None:
    """Of the process; call it once."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else PlainLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # They are asked for by log_requests.
    logging.getLogger("recsys.requests").setLevel(logging.INFO)


class PlainLines(logging.Formatter):
    """MOMENT LEVEL LOGGER: MESSAGE [REQUEST_ID], with the places of an error below it."""

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record)
        known = _fields(record).get("request_id")
        of_request = f" [request {known}]" if known else ""
        line = f"{moment} {record.levelname} {record.name}: {_message(record)}{of_request}"
        error = _error(record.exc_info)
        return _without_keys(line if error is None else f"{line}\n{error['kind']}\n{error['places']}".rstrip())


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, request_id of what belongs to one, error, and further fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_fields(record),
        }
        if (error := _error(record.exc_info)) is not None:
            line["error"] = error
        return _without_keys(msgspec.json.encode(line).decode())


def _message(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] in OURS:
        return record.getMessage()
    # Later lines are often made of what was worked on, as those of asyncio.
    return str(record.msg).strip().partition("\n")[0]


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given: dict[str, Any] | None = getattr(record, "fields", None)
    if given is not None:
        return given
    watched = CURRENT.get()
    return {} if watched is None else {"request_id": watched.request_id}


def _error(raised: Raised | None) -> dict[str, str] | None:
    if raised is None or raised[0] is None:
        return None
    return {"kind": raised[0].__qualname__, "places": "".join(traceback.format_tb(raised[2]))}


def _without_keys(line: str) -> str:
    """No message has one; should one have it all the same, it does not get out."""
    return _KEY.sub(r"\1_…", line) if "recsys_" in line else line
