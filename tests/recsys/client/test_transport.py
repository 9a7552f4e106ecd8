"""Connections: kept, closed by the server, cut off, and shared by threads."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from recsys.client.errors import ClientError, UnreachableError
from recsys.client.transport import Transport
from tests.recsys.client.scripted import HANG_UP, Say, scripted
from tests.stalls import at_most

OPENED: list[Transport] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def transport_to(url: str, **options: int) -> Transport:
    OPENED.append(Transport(url, headers={}, **options))  # type: ignore[arg-type]
    return OPENED[-1]


def test_a_connection_is_used_again():
    with scripted(Say()) as server:
        transport = transport_to(server.url)
        for _ in range(5):
            assert transport.exchange("GET", "/readyz", None, timeout_s=5).status == 200
        assert server.connections == 1


def test_one_that_the_server_closed_while_it_was_kept_costs_nothing():
    with scripted(Say(), HANG_UP, Say()) as server:
        transport = transport_to(server.url)
        for _ in range(2):
            assert transport.exchange("POST", "/v1/rank", b"{}", timeout_s=5).status == 200
        assert (server.connections, len(server.asked)) == (2, 3)


def test_a_new_one_that_is_closed_without_an_answer_may_have_been_read():
    with scripted(HANG_UP) as server, pytest.raises(UnreachableError, match="without an answer") as raised:
        transport_to(server.url).exchange("POST", "/v1/rank", b"{}", timeout_s=5)
    assert raised.value.sent


def test_half_an_answer_is_none():
    with scripted(Say(cut=10)) as server, pytest.raises(UnreachableError, match="broke off: IncompleteRead") as raised:
        transport_to(server.url).exchange("GET", "/readyz", None, timeout_s=5)
    assert raised.value.sent


def test_an_answer_that_takes_too_long_is_not_waited_for_and_the_next_request_does_not_get_it():
    with scripted(Say(body={"late": 1}, after_s=0.5), Say(body={"next": 1})) as server:
        transport = transport_to(server.url)
        with at_most(0.4), pytest.raises(UnreachableError, match="in time"):
            transport.exchange("GET", "/readyz", None, timeout_s=0.1)
        assert transport.exchange("GET", "/readyz", None, timeout_s=5).body == b'{"next": 1}'


def test_nobody_there_is_told_from_an_answer_that_was_lost():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"http://127.0.0.1:{port} cannot be reached") as raised:
        transport_to(f"http://127.0.0.1:{port}").exchange("GET", "/", None, timeout_s=1)
    assert not raised.value.sent


def test_threads_share_it_and_each_gets_its_own_answer():
    with scripted(Say(after_s=0.02)) as server:
        transport = transport_to(server.url, most_idle=4)
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(transport.exchange, "GET", f"/{n}", None, timeout_s=10) for n in range(64)]
            assert {done.result().status for done in asked} == {200}
        assert sorted(int(target[1:]) for _, target, _ in server.asked) == list(range(64))
        # Eight at once, of which four are kept.
        assert server.connections < 64
        assert len(transport._idle) <= 4
        transport.close()
        assert not transport._idle


def test_a_child_process_opens_connections_of_its_own():
    with scripted(Say()) as server:
        transport = transport_to(server.url)
        transport.exchange("GET", "/", None, timeout_s=5)
        transport._process = os.getpid() + 1
        transport.exchange("GET", "/", None, timeout_s=5)
        assert server.connections == 2


def test_a_path_in_front_of_the_routes_is_kept_and_a_password_in_the_address_is_not_told():
    with scripted(Say()) as server:
        transport_to(f"{server.url}/recsys/").exchange("GET", "/readyz", None, timeout_s=5)
        assert server.asked == [("GET", "/recsys/readyz", None)]
    assert Transport("https://me:secret@shop.example", headers={}).address == "https://shop.example"


@pytest.mark.parametrize("url", ["shop.example", "ftp://shop.example", "http://", "https://shop.example?key=k"])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ClientError, match=r"expected http://HOST:PORT"):
        Transport(url, headers={})
