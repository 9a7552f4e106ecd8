"""The lines of the server's log."""

import json
import logging
import sys
from typing import Any

import pytest

from serving.messages import JsonLines, PlainLines
from serving.watching import CURRENT, Watched

KEY = "recsys_0123456789abcdef_" + "ab" * 32


def record(message: str, *arguments: object, name: str = "serving.gate", **more: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, __file__, 1, message, arguments, more.pop("exc_info", None))
    made.__dict__.update(more)
    made.created = 1_000_000_000.25
    return made


def test_a_json_line_has_time_level_logger_and_message():
    line = JsonLines().format(record("the key %s", "k"))
    assert json.loads(line) == {
        "time": "2001-09-09T01:46:40.250+00:00",
        "level": "error",
        "logger": "serving.gate",
        "message": "the key k",
    }
    assert "\n" not in line


def test_a_line_that_belongs_to_a_request_bears_its_id():
    watched = Watched()
    token = CURRENT.set(watched)
    try:
        assert json.loads(JsonLines().format(record("m")))["request_id"] == watched.request_id
        assert PlainLines().format(record("m")).endswith(f"ERROR serving.gate: m [request {watched.request_id}]")
    finally:
        CURRENT.reset(token)
    assert PlainLines().format(record("m")).endswith("ERROR serving.gate: m")


@pytest.mark.parametrize("lines", [JsonLines(), PlainLines()])
def test_of_an_exception_the_kind_and_the_places_are_told_but_not_its_words(lines):
    try:
        raise ValueError("user secret-user")
    except ValueError:
        line = lines.format(record("it failed", exc_info=sys.exc_info()))
    assert "secret-user" not in line.replace('raise ValueError("user secret-user")', "").replace(
        'raise ValueError(\\"user secret-user\\")', ""
    )
    assert "ValueError" in line
    assert "test_messages.py" in line


@pytest.mark.parametrize("lines", [JsonLines(), PlainLines()])
def test_of_messages_of_libraries_only_the_constant_part_is_told(lines):
    assert "secret" not in lines.format(record("cannot read %s", "secret", name="feast.infra"))
    assert "cannot read" in lines.format(record("cannot read %s", "secret", name="feast.infra"))
    assert "secret" not in lines.format(record("Task exception was never retrieved\nfuture: secret", name="asyncio"))


@pytest.mark.parametrize("lines", [JsonLines(), PlainLines()])
def test_a_key_does_not_get_out_even_if_a_message_has_it(lines):
    line = lines.format(record("%s does not open it", KEY))
    assert "recsys_0123456789abcdef_…" in line
    assert "abab" not in line
