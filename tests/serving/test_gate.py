import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.testing import TestClient

from serving.keys import DECOY
from serving.keys_file import KeysFile
from tests.serving.keyed import add_key, bearer, id_of, keyed_client

RANK = {"user_id": "u", "candidates": ["b", "a"]}
CLICK = {"user_id": "u", "item_id": "a", "event_type": "click"}


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[TestClient[Any], KeysFile]]:
    with keyed_client(tmp_path) as both:
        add_key(both[1], "rank", days=-1)
        yield both


def rank(client: TestClient[Any], key: str | None) -> httpx.Response:
    return client.post("/v1/rank", json=RANK, headers={} if key is None else bearer(key))


def refused(answer: httpx.Response, status: int) -> str:
    """The detail of a problem with this status."""
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    return answer.json()["detail"]


def test_a_key_opens_in_either_header(keyed):
    client, file = keyed
    key = add_key(file, "rank")
    for headers in (bearer(key), {"authorization": f"bearer  {key}"}, {"x-api-key": key}):
        assert client.post("/v1/rank", json=RANK, headers=headers).status_code == 200


def test_without_a_key_the_answer_is_a_401_that_says_how_to_send_one(keyed):
    client, _ = keyed
    answer = rank(client, None)
    assert "send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`" in refused(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="recsys"'
    basic = client.post("/v1/rank", json=RANK, headers={"authorization": "Basic dTpw"})
    assert "there is no key" in refused(basic, 401)


def test_a_key_that_is_wrong_is_a_401_whatever_is_wrong_with_it(keyed):
    client, file = keyed
    key = add_key(file, "rank")
    other_secret = f"{key[:-1]}{'0' if key[-1] != '0' else '1'}"
    nobodys = f"recsys_{'f' * 16}_{key.rpartition('_')[2]}"
    decoys = f"recsys_{DECOY.key_id}_{'0' * 64}"
    for wrong, detail in (
        (other_secret, "no such key"),
        (nobodys, "no such key"),
        (decoys, "no such key"),
        ("secret", "what was sent is not a key"),
        ("", "what was sent is not a key"),
    ):
        answer = rank(client, wrong)
        assert detail in refused(answer, 401)
        assert answer.headers["www-authenticate"] == 'Bearer realm="recsys", error="invalid_token"'


def test_a_key_that_nobody_has_is_compared_all_the_same(keyed, monkeypatch):
    client, _ = keyed
    compared = []
    monkeypatch.setattr("serving.keys.hmac.compare_digest", lambda found, kept: bool(compared.append(kept)))
    rank(client, f"recsys_{'f' * 16}_{'0' * 64}")
    assert compared == [DECOY.digest]


def test_a_key_without_the_scope_is_a_403_that_names_it(keyed):
    client, file = keyed
    key = add_key(file, "ingest")
    answer = rank(client, key)
    assert refused(answer, 403) == f"the key {id_of(key)} has the scopes ['ingest']; this route needs rank"
    assert 'error="insufficient_scope", scope="rank"' in answer.headers["www-authenticate"]
    assert client.post("/v1/events", json=CLICK, headers=bearer(key)).status_code == 200


def test_an_expired_key_says_so_to_who_has_it_and_its_successor_opens(keyed):
    client, file = keyed
    old, new = add_key(file, "rank", days=-1), add_key(file, "rank", days=1)
    assert "is expired; use its successor or a new one" in refused(rank(client, old), 401)
    assert "no such key" in refused(rank(client, f"{old[:-4]}0000"), 401)
    assert rank(client, new).status_code == 200


def test_a_key_that_is_revoked_while_the_server_runs_opens_no_more(keyed):
    client, file = keyed
    key, other = add_key(file, "rank"), add_key(file, "rank")
    assert rank(client, key).status_code == 200
    file.change(
        lambda keys: [
            msgspec.structs.replace(kept, revoked_at=datetime.now(UTC)) if kept.key_id == id_of(key) else kept
            for kept in keys
        ]
    )
    assert "is revoked" in refused(rank(client, key), 401)
    assert rank(client, other).status_code == 200


def test_a_key_may_send_its_burst_and_then_has_to_wait_while_others_do_not(keyed):
    client, file = keyed
    slow, other = add_key(file, "rank", requests_per_second=0.01, burst=3), add_key(file, "rank")
    answers = [rank(client, slow) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert "sent more than 0.01 requests per second" in refused(answers[3], 429)
    assert 95 <= int(answers[3].headers["retry-after"]) <= 100
    assert rank(client, other).status_code == 200


def test_requests_that_come_at_once_get_the_burst_and_no_more(keyed):
    client, file = keyed
    key = add_key(file, "rank", requests_per_second=0.001, burst=30)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: rank(client, key).status_code, range(100)))
    assert (statuses.count(200), statuses.count(429)) == (30, 70)


def test_the_rate_of_recsys_toml_counts_for_keys_without_one(tmp_path):
    with keyed_client(tmp_path, requests_per_second=0.01, burst=2) as (client, file):
        first, second = add_key(file, "rank"), add_key(file, "rank", burst=1)
        assert [rank(client, first).status_code for _ in range(3)] == [200, 200, 429]
        assert [rank(client, second).status_code for _ in range(2)] == [200, 429]


def test_a_body_that_is_larger_than_the_key_may_send_is_a_413_with_and_without_its_length(keyed):
    client, file = keyed
    small, large = add_key(file, "rank", max_body_bytes=100), add_key(file, "rank")
    body = b'{"user_id": "u", "candidates": ["a"]}'
    for padding, status in ((b" " * (100 - len(body)), 200), (b" " * (101 - len(body)), 413)):
        for content in (body + padding, iter([body, padding])):
            answer = client.post("/v1/rank", content=content, headers=bearer(small))
            assert answer.status_code == status
    assert refused(answer, 413) == "the body is too large; expected at most 100 bytes, send it in parts"
    assert client.post("/v1/rank", content=body + b" " * 100, headers=bearer(large)).status_code == 200


@pytest.mark.parametrize(
    ("route", "body", "path"),
    [
        ("/v1/rank", {"user_id": "u", "candidates": ["a", "b", "c"]}, "$.candidates"),
        ("/v1/recommend", {"user_id": "u", "limit": 3}, "$.limit"),
        ("/v1/similar", {"item_id": "a", "limit": 3}, "$.limit"),
    ],
)
def test_a_key_with_fewer_candidates_is_held_to_them(keyed, route, body, path):
    client, file = keyed
    few, other = add_key(file, "rank", max_candidates=2), add_key(file, "rank")
    answer = client.post(route, json=body, headers=bearer(few))
    assert "expected at most 2" in refused(answer, 422)
    assert answer.json()["path"] == path
    assert client.post(route, json=body, headers=bearer(other)).status_code == 200


def test_the_body_of_a_request_without_a_key_is_not_read(keyed):
    client, _ = keyed
    scope = {"type": "http", "method": "POST", "path": "/v1/rank", "raw_path": b"/v1/rank", "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost")], "root_path": "", "scheme": "http", "http_version": "1.1"}
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == 401


def test_a_server_without_keys_is_open_until_the_first_one_and_never_again(tmp_path):
    with keyed_client(tmp_path) as (client, file):
        assert rank(client, None).status_code == 200
        key = add_key(file, "rank")
        assert rank(client, None).status_code == 401
        assert rank(client, key).status_code == 200
        file.path.unlink()
        assert rank(client, None).status_code == 401
        assert rank(client, key).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:8000"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "recsys.example"}, 403),
        ({"host": "127.0.0.1.recsys.example"}, 403),
        ({"host": "["}, 403),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://recsys.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_a_server_without_keys_answers_programs_of_its_machine_and_not_pages_of_others(tmp_path, headers, status):
    with keyed_client(tmp_path) as (client, file):
        answer = client.post("/v1/rank", json=RANK, headers=headers)
        assert answer.status_code == status
        if status == 403:
            assert "make keys with `recsys keys create`" in refused(answer, 403)
        assert client.post("/v1/rank", json=RANK, headers=headers | bearer(add_key(file))).status_code == 200
