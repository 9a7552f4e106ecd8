"""A server's whole log, whatever is asked and whatever fails: JSON lines, with request ids, and about nobody."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serving.keys_file import KeysFile
from tests.serving.keyed import add_key, bearer
from tests.serving.test_key_server import address_in, first_line
from tests.serving.test_server import TOML

SCRIPT = """
import sys, types

sys.modules["torch"] = sys.modules["transformers"] = None

from recsys.cli import main
from tests.serving.fake_engine import FakeEngine

class FailingEngine(FakeEngine):
    def rank(self, asked, candidates):
        if "broken" in candidates:
            raise KeyError(f"{asked.user_id} asked for {asked.query}")
        return super().rank(asked, candidates)

sys.modules["serving.engine"] = types.ModuleType("serving.engine")
sys.modules["serving.engine"].load_engine = lambda workspace: FailingEngine()
sys.modules["serving.engine"].load_before = sys.modules["serving.engine"].load_engine
sys.modules["serving.engine"].filling = lambda workspace: ""
sys.modules["serving.engine"].newest = lambda workspace: None
main()
"""
USER, QUERY, ITEM = "private-user", "private words", "private-item"


def ask_everything(client: httpx.Client, key: str) -> None:
    rank = {"user_id": USER, "candidates": [ITEM, "a"], "query": QUERY}
    for headers in (bearer(key), bearer(key[:-1]), {"x-api-key": f"{key} {key}"}, {}):
        for method, route, body in [
            ("POST", "/v1/rank", rank),
            ("POST", "/v1/rank", rank | {"candidates": ["broken"]}),
            ("POST", "/v1/rank", rank | {"user_id": 7, USER: QUERY}),
            ("POST", "/v1/recommend", {"user_id": USER, "query": QUERY, "explain": True}),
            ("POST", "/v1/events", {"user_id": USER, "item_id": ITEM, "event_type": "click", "query": QUERY}),
            ("POST", "/v1/events", {"user_id": USER, "item_id": ITEM, "event_type": USER}),
            ("POST", "/v1/explain", {"user_id": USER, "items": [ITEM], "filter": QUERY}),
            ("POST", "/v1/users", {"user_id": USER, "country": QUERY}),
            ("POST", "/v1/items", {"item_id": ITEM, "title": ITEM}),
            ("DELETE", f"/v1/items/{ITEM}", None),
            ("DELETE", f"/v1/users/{USER}", None),
            ("GET", f"/v1/items/{ITEM}/similar?user_id={USER}&filter={QUERY}", None),
            ("GET", f"/{USER}?{QUERY}", None),
            ("PUT", "/v1/rank", None),
            ("GET", "/metrics", None),
        ]:
            client.request(method, route, json=body, headers=headers)
    client.post("/v1/rank", content=f'{{"user_id": "{USER}"', headers=bearer(key))


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_log_of_a_server_is_about_nobody(tmp_path: Path, form: str):
    config = tmp_path / "recsys.toml"
    config.write_text(f'{TOML}[serving]\nlog_format = "{form}"\nlog_requests = true\n')
    key = add_key(KeysFile(tmp_path / "keys.json"))
    command = [sys.executable, "-c", SCRIPT, "serve", "--config", str(config), "--port", "0"]
    with subprocess.Popen(
        command, text=True, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            with httpx.Client(base_url=address_in(first_line(process))) as client:
                ask_everything(client, key)
                answered = client.post("/v1/rank", json={"user_id": "u", "candidates": ["a"]}, headers=bearer(key))
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    for secret in (USER, QUERY, ITEM, key.rpartition("_")[2], "private"):
        assert secret not in err
    assert err.count("a request failed with ") == err.count("a request failed with KeyError") == 1
    lines = err.splitlines()
    if form == "json":
        found = [json.loads(line) for line in lines]
        assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in found))
        (failed,) = [line for line in found if "KeyError" in line["message"]]
        last = [line for line in found if line["logger"] == "recsys.requests"][-1]
        assert re.fullmatch("[0-9a-f]{32}", failed["request_id"])
        assert (last["route"], last["status"], last["degraded"]) == ("POST /v1/rank", 200, [])
        # What a user tells of an answer leads to its line.
        assert last["request_id"] == answered.json()["request_id"]
    else:
        assert re.search(r"INFO recsys\.requests: POST /v1/rank: 200 in \d+\.\d ms \[request [0-9a-f]{32}\]", err)
