"""What POST /v1/users and DELETE /v1/users/{user_id} answer, refuse and keep."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from serving import openapi
from serving.types import MAX_ENTRIES
from tests.serving.test_api import assert_problem

USER = {"user_id": "u", "country": "NO", "age": 31}


def logged(path: Path) -> list[tuple[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT user_id, columns FROM users ORDER BY sequence").fetchall()
    return [(user_id, columns and json.loads(columns)) for user_id, columns in found]


def test_attributes_are_on_the_disk_when_they_are_answered_and_so_is_that_they_are_gone(client, log_path):
    answer = client.post("/v1/users", json=USER)
    assert (answer.status_code, answer.json()) == (200, {"results": [{"status": "stored", "user_id": "u"}]})
    answer = client.delete("/v1/users/u")
    assert (answer.status_code, answer.json()) == (200, {"status": "deleted", "user_id": "u"})
    assert logged(log_path) == [("u", {"country": "NO", "age": 31}), ("u", None)]


def test_a_bad_user_is_refused_with_its_path_and_the_good_ones_are_stored(client, log_path):
    sent = [USER, {"country": "FR"}, {"user_id": ""}, "u", {"user_id": "v"}]
    results = client.post("/v1/users", json={"users": sent}).json()["results"]
    assert [result["status"] for result in results] == ["stored", "refused", "refused", "refused", "stored"]
    assert [result["path"] for result in results[1:4]] == ["$.users[1].user_id", "$.users[2].user_id", "$.users[3]"]
    assert logged(log_path) == [("u", {"country": "NO", "age": 31}), ("v", {})]


def test_users_that_are_all_refused_are_a_400_with_the_results(client):
    answer = client.post("/v1/users", json={"country": "FR"})
    assert_problem(answer, 400, "$.user_id", "missing required field .* no user was stored")
    assert [result["status"] for result in answer.json()["results"]] == ["refused"]
    assert_problem(client.post("/v1/users", json={"users": []}), 400, "$.users", f"expected 1 to {MAX_ENTRIES}")


@pytest.mark.parametrize("user_id", ["a/b", "a//", "ü%2F", "?x"])
def test_an_id_may_have_any_signs(client, log_path, user_id):
    address = "".join(f"%{byte:02X}" for byte in user_id.encode())
    assert client.delete(f"/v1/users/{address}").json() == {"status": "deleted", "user_id": user_id}
    assert logged(log_path) == [(user_id, None)]


def test_what_a_user_did_is_not_deleted_under_the_name_of_attributes(client):
    assert_problem(client.delete("/v1/users/u/data"), 404, None, "")


def test_a_log_that_cannot_be_written_is_a_503(client, service):
    service.event_log.close()
    assert_problem(client.post("/v1/users", json=USER), 503, None, "send it again")
    assert_problem(client.delete("/v1/users/u"), 503, None, "send it again")


def test_the_examples_of_answers_have_the_fields_of_answers(client):
    assert client.post("/v1/users", json=openapi.USER_BATCH).json() == openapi.USERS_ANSWER
    assert client.delete("/v1/users/17850").json() == openapi.USER_DELETED
