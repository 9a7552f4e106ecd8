"""A key, or what is kept of it, is in no answer and no log, whatever is asked and whatever goes wrong."""

import json
import logging

from serving.keys_file import KeysFile
from tests.serving.fake_engine import FakeEngine
from tests.serving.keyed import add_key, bearer, id_of, keyed_client

RANK = {"user_id": "u", "candidates": ["b", "a"]}
CLICK = {"user_id": "u", "item_id": "a", "event_type": "click"}
ROUTES = [
    ("POST", "/v1/rank", RANK),
    ("POST", "/v1/rank", {"user_id": 7}),
    ("POST", "/v1/recommend", {"user_id": "u", "explain": True}),
    ("POST", "/v1/similar", {"item_id": "zz"}),
    ("POST", "/v1/events", CLICK),
    ("POST", "/v1/items", {"item_id": "g", "title": "Item g"}),
    ("DELETE", "/v1/items/none", None),
    ("GET", "/metrics", None),
    ("GET", "/docs", None),
    ("GET", "/docs/none", None),
    ("GET", "/openapi.json", None),
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
    ("GET", "/none", None),
    ("PUT", "/v1/rank", None),
    ("OPTIONS", "/v1/rank", None),
]


def secrets_of(key: str, file: KeysFile) -> list[str]:
    (kept,) = [kept for kept in file.read() if kept.key_id == id_of(key)]
    return [key, key.rpartition("_")[2], kept.digest, kept.salt]


def test_no_answer_and_no_log_holds_a_key(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "httpx")  # a client's log of its own
    texts, secrets = [], []
    with keyed_client(tmp_path) as (client, file):
        good, poor = add_key(file), add_key(file, "admin", requests_per_second=0.001, burst=3)
        expired, wrong = add_key(file, days=-1), f"{good[:-1]}{'0' if good[-1] != '0' else '1'}"
        secrets = [secret for key in (good, poor, expired) for secret in secrets_of(key, file)]
        secrets += [wrong, wrong.rpartition("_")[2]]

        def ask_everything() -> None:
            for key in (good, poor, expired, wrong, f"Basic {good}", good.upper(), f"{good} {good}"):
                for headers in (bearer(key), {"x-api-key": key}, {"authorization": key}):
                    for method, route, body in ROUTES:
                        answer = client.request(method, route, json=body, headers=headers)
                        texts.append(f"{answer.status_code} {answer.text} {json.dumps(dict(answer.headers))}")

        ask_everything()

        def fail(*_: object, **__: object) -> None:
            raise KeyError(good)

        for name in ("rank", "recommend", "freshness"):
            monkeypatch.setattr(FakeEngine, name, fail)
        ask_everything()
        file.path.write_text(f'{{"format": 1, "keys": "{good}"}}')
        ask_everything()
        logged = [record.getMessage() for record in caplog.records]
        logged += [record.exc_text or "" for record in caplog.records]
    statuses = {text[:3] for text in texts}
    assert statuses == {"200", "204", "400", "401", "403", "404", "405", "429", "500"}
    assert any("cannot be read" in message for message in logged)
    for secret in secrets:
        for text in texts + logged:
            assert secret.lower() not in text.lower()
