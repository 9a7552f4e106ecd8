"""The client against a server that answers as it is told to; tests/serving/test_client_server.py has the real one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.client import Event, ProblemError, RecsysClient, Retries, UnreachableError
from tests.recsys.client.scripted import HANG_UP, RANKED, Say, scripted
from tests.stalls import at_most

QUICK = Retries(most=2, first_pause_s=0.001)
BUSY = Say(503, {"title": "Service Unavailable", "status": 503, "detail": "later"})


OPENED: list[RecsysClient] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def client_of(url: str, key: str | None = None, **times: float) -> RecsysClient:
    OPENED.append(RecsysClient(url, key=key, retries=QUICK, **times))
    return OPENED[-1]


def test_only_what_was_given_is_sent_with_the_key():
    with scripted(Say()) as server:
        client_of(server.url, key="recsys_1_2").rank("u", ("a", "b"), explain=False, deadline_ms=20)
    assert server.asked == [
        ("POST", "/v1/rank", {"user_id": "u", "candidates": ["a", "b"], "explain": False, "deadline_ms": 20})
    ]
    assert server.headers[0]["Authorization"] == "Bearer recsys_1_2"


def test_the_answer_is_typed_and_fields_of_a_newer_server_are_passed_over():
    item = {"item_id": "a", "score": 1.5, "rank": 1, "channels": ["text"], "new": 1, "reasons": []}
    with scripted(
        Say(body=RANKED | {"items": [item], "new": {}, "filtered": [{"item_id": "b", "why": "filter"}]})
    ) as server:
        answer = client_of(server.url).rank("u", ["a", "b"])
    assert (answer.item_ids, answer.items[0].channels, answer.items[0].title) == (["a"], ("text",), "")
    assert (answer.filtered[0].why, answer.experiment) == ("filter", None)


def test_what_the_server_refused_to_do_is_sent_again_as_often_as_allowed():
    with scripted(BUSY, BUSY, Say()) as server:
        client_of(server.url).rank("u", ["a"])
        assert len(server.asked) == 3
    with scripted(BUSY) as server:
        with pytest.raises(ProblemError, match="POST /v1/rank: 503 Service Unavailable; later"):
            client_of(server.url).rank("u", ["a"])
        assert len(server.asked) == 3


def test_it_comes_back_no_earlier_than_the_server_says():
    with scripted(Say(429, {}, {"Retry-After": "1"}), Say()) as server, at_most(2.0, at_least=1.0):
        client_of(server.url).rank("u", ["a"])


def test_it_does_not_wait_for_longer_than_the_call_may_take():
    busy = Say(429, {"title": "", "status": 429, "detail": ""}, {"Retry-After": "60"})
    with scripted(busy, Say()) as server, at_most(1.0), pytest.raises(ProblemError) as raised:
        client_of(server.url).rank("u", ["a"])
    assert (raised.value.status, raised.value.retry_after_s) == (429, 60.0)


def test_an_answer_that_was_lost_is_asked_for_again_but_not_what_is_logged_as_shown():
    with scripted(HANG_UP, Say(body={"results": []})) as server:
        client_of(server.url).send_events([Event("u", "a", "click")])
        assert len(server.asked) == 2
    with scripted(HANG_UP, Say()) as server:
        with pytest.raises(UnreachableError):
            client_of(server.url).rank("u", ["a"])
        assert len(server.asked) == 1


def test_an_event_bears_the_same_id_each_time_it_is_sent():
    with scripted(HANG_UP, BUSY, Say(body={"results": []})) as server:
        client_of(server.url).send_events([Event("u", "a", "click")])
    ids = [body["events"][0]["event_id"] for _, _, body in server.asked]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert Event("u", "a", "click").event_id != Event("u", "a", "click").event_id


def test_many_events_go_in_several_requests():
    with scripted(Say(body={"results": [{"status": "stored", "event_id": "1"}]})) as server:
        results = client_of(server.url).send_events([Event("u", "a", "click")] * 2001)
    assert [len(body["events"]) for _, _, body in server.asked] == [1000, 1000, 1]
    assert [result.status for result in results] == ["stored"] * 3


def test_when_all_are_refused_each_says_why_and_any_other_refusal_is_raised():
    refused = [{"status": "refused", "path": "$.events[0].event_type", "reason": "not one"}]
    problem = {"title": "Unprocessable Content", "status": 422, "detail": "…", "path": "$.events[0].event_type"}
    with scripted(Say(422, problem | {"results": refused}), Say(422, problem)) as server:
        client = client_of(server.url)
        (result,) = client.send_events([Event("u", "a", "x")])
        assert (result.status, result.reason, result.event_id) == ("refused", "not one", None)
        with pytest.raises(ProblemError) as raised:
            client.send_events([Event("u", "a", "x")])
    assert (raised.value.status, raised.value.problem.path) == (422, "$.events[0].event_type")
    assert len(server.asked) == 2


def test_the_page_of_a_proxy_becomes_a_problem_and_ids_are_in_no_message():
    with scripted(Say(404, b"<html>nothing here</html>")) as server, pytest.raises(ProblemError) as raised:
        client_of(server.url).delete_user("secret/1")
    assert str(raised.value) == "DELETE /v1/users/…: 404 Not Found; <html>nothing here</html>"
    assert server.asked == [("DELETE", "/v1/users/secret%2F1", None)]


def test_a_user_is_forgotten_in_more_time_than_other_calls_have():
    done = {"status": "forgotten", "removed": {"interactions": 3}, "left": ["tables"]}
    with scripted(Say(body=done, after_s=0.5)) as server:
        found = client_of(server.url, try_timeout_s=0.1, timeout_s=0.2).forget_user("secret/1")
    assert (found.removed, found.left) == ({"interactions": 3}, ("tables",))
    assert server.asked == [("DELETE", "/v1/users/secret%2F1/data", None)]
    with scripted(Say(404, {})) as server, pytest.raises(ProblemError) as raised:
        client_of(server.url).forget_user("secret/1")
    assert "secret" not in str(raised.value)


def test_another_answer_than_ours_is_said_to_be_one():
    with scripted(Say(body=b"<html>welcome</html>")) as server, pytest.raises(Exception, match="look at the address"):
        client_of(server.url).rank("u", ["a"])


def test_ready_says_whether_it_is_and_does_not_raise():
    with scripted(Say(body={}), BUSY) as server:
        client = client_of(server.url)
        assert [client.ready(), client.ready()] == [True, False]
    assert not client.ready()


def test_it_is_imported_without_what_serves_or_trains():
    code = (
        "import sys; import recsys.client; "
        "heavy = {'torch', 'polars', 'numpy', 'litestar', 'httpx', 'pandas', 'onnxruntime', 'serving', 'features'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "[]\n"
