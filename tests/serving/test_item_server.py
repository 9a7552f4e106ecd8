"""Items at a server as a process: ranked at once, after kill -9 as before it, and right under concurrent requests."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import BLOCK, NOT_TO_SERVE
from tests.serving.made_bundle import publish_made_bundle

# The command line as it is, without what only training needs, and with a feature store made by hand.
SCRIPT = (
    BLOCK.format(blocked=NOT_TO_SERVE)
    + """
import serving.engine
from recsys.cli import main
from tests.serving.made_bundle import MadeStore

serving.engine.OnlineBehaviour.of = lambda workspace: MadeStore()
main()
"""
)
TOML = """
name = "made"
[source]
interactions = "interactions.csv"
[interaction_types]
click = { label = true }
"""


@pytest.fixture
def project(tmp_path: Path, made_scorer: Path) -> Path:
    (tmp_path / "recsys.toml").write_text(TOML)
    publish_made_bundle(tmp_path / "bundles", made_scorer)
    return tmp_path


@contextmanager
def server(project: Path) -> Iterator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        SCRIPT,
        "serve",
        "--config",
        f"{project}/recsys.toml",
        "--port",
        "0",
    ]
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, cwd=Path(__file__).parents[2], **pipes) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            found = re.match(r"recsys serves made on (\S+),", line)
            assert found, line + process.stderr.read()
            with httpx.Client(base_url=found[1], timeout=30) as client:
                yield client, process
        finally:
            process.kill()


def recommended(client: httpx.Client, limit: int) -> list[str]:
    request = {"user_id": "fan", "limit": limit, "exclude": ["a1"]}
    return [item["item_id"] for item in client.post("/v1/recommend", json=request).json()["items"]]


def test_items_are_ranked_at_once_and_survive_kill_9(project):
    with server(project) as (client, process):
        assert recommended(client, 1) == ["a2"]
        sent = {"items": [{"item_id": "n/1", "title": "red apple"}, {"item_id": "p1", "title": "apple"}]}
        assert client.post("/v1/items", json=sent).status_code == 200
        assert client.delete("/v1/items/a2").json() == {"status": "deleted", "item_id": "a2"}
        before = recommended(client, 3)
        assert before[:2] == ["n/1", "p1"]
        assert "a2" not in before
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    with server(project) as (client, _):
        assert recommended(client, 3) == before
        answer = client.post("/v1/rank", json={"user_id": "fan", "candidates": ["a2", "n/1"]}).json()
        assert [item["title"] for item in answer["items"]] == ["red apple"]
        assert answer["unknown"] == ["a2"]
        assert client.delete("/v1/items/n%2F1").json() == {"status": "deleted", "item_id": "n/1"}


def test_every_answer_is_whole_while_items_change_and_the_last_change_in_the_log_wins(project):
    titles = ["red apple", "pear", "box", "green apple"]

    def change(nth: int) -> int:
        batch = [{"item_id": f"n{nth}", "title": titles[nth % 4]}, {"item_id": "shared", "title": titles[nth % 4]}]
        return client.post("/v1/items", json={"items": batch}).status_code

    def ask(nth: int) -> int:
        answer = client.post("/v1/recommend", json={"user_id": "fan", "limit": 40})
        assert answer.json()["items"][0]["item_id"]
        return answer.status_code

    with server(project) as (client, process):
        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(work, nth) for nth in range(100) for work in (change, ask)]
            assert {future.result() for future in done} == {200}
        wanted = [f"n{nth}" for nth in range(100)] + ["shared"]
        request = {"user_id": "fan", "candidates": wanted}
        before = client.post("/v1/rank", json=request).json()
        assert before["unknown"] == []
        assert {item["item_id"]: item["title"] for item in before["items"] if item["item_id"] != "shared"} == {
            f"n{nth}": titles[nth % 4] for nth in range(100)
        }
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    with server(project) as (client, _):
        after = client.post("/v1/rank", json=request).json()
        assert {item["item_id"]: (item["title"], item["score"]) for item in after["items"]} == {
            item["item_id"]: (item["title"], item["score"]) for item in before["items"]
        }
