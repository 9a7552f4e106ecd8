"""`recsys serve` as a process, with keys and without: where it listens, what it says, and two projects in one."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.keys_file import KeysFile
from tests.serving.keyed import add_key, bearer
from tests.serving.test_server import SCRIPT, TOML

RANK = {"user_id": "u", "candidates": ["b", "a"]}
CLICK = {"user_id": "u", "item_id": "a", "event_type": "click"}


def project(folder: Path, name: str) -> Path:
    """The recsys.toml of a project without keys."""
    (folder / name).mkdir()
    config = folder / name / "recsys.toml"
    config.write_text(TOML.replace('"fake"', f'"{name}"'))
    return config


@contextmanager
def serving(configs: Sequence[Path], *options: str) -> "Iterator[subprocess.Popen[str]]":
    named = [word for config in configs for word in ("--config", str(config))]
    command = [sys.executable, "-W", "error", "-c", SCRIPT, "ready", "serve", *named, "--port", "0", *options]
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, cwd=Path(__file__).parents[2], **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        pytest.fail(process.stderr.read())
    return line


def address_in(line: str) -> str:
    """Of this machine, with the port that the line names."""
    return f"http://127.0.0.1:{line.partition(' on ')[2].partition(',')[0].rpartition(':')[2]}"


def test_a_server_that_others_reach_does_not_start_without_keys(tmp_path):
    config = project(tmp_path, "shop")
    with serving([config], "--host", "0.0.0.0") as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "error: the project shop has no keys, and others reach 0.0.0.0 as well; make one with `recsys keys create "
        f"--config {config} --name NAME --scope rank`, or listen on this machine alone with --host 127.0.0.1\n"
    )


def test_a_server_of_its_own_machine_says_that_it_is_open_until_there_is_a_key_and_follows_new_ones(tmp_path):
    config = project(tmp_path, "shop")
    with serving([config]) as process:
        line = first_line(process)
        assert line.endswith("; open to this machine without a key, see docs/security.md\n")
        with httpx.Client(base_url=address_in(line)) as client:
            assert client.post("/v1/rank", json=RANK).status_code == 200
            key = add_key(KeysFile(config.parent / "keys.json"), "rank")
            deadline = time.monotonic() + 10
            while client.post("/v1/rank", json=RANK).status_code != 401:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert client.post("/v1/rank", json=RANK, headers=bearer(key)).status_code == 200
            assert client.post("/v1/events", json=CLICK, headers=bearer(key)).status_code == 403
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "keys.json has changed: it has 1 keys now" in err
    assert key.rpartition("_")[2] not in err


def test_two_projects_in_one_server_are_told_apart_by_their_keys(tmp_path):
    configs = [project(tmp_path, name) for name in ("shop", "desk")]
    shop, desk = (add_key(KeysFile(config.parent / "keys.json")) for config in configs)
    with serving(configs, "--host", "0.0.0.0") as process:
        line = first_line(process)
        assert line.startswith("recsys serves fake-1 of shop, fake-1 of desk on http://0.0.0.0:")
        assert "without a key" not in line
        with httpx.Client(base_url=address_in(line), headers={"host": "recsys.example"}) as client:
            new = {"item_id": "z", "title": "Z"}
            assert client.post("/v1/items", json=new, headers=bearer(shop)).status_code == 200
            asked = {"user_id": "u", "candidates": ["z", "a"]}
            found = [client.post("/v1/rank", json=asked, headers=bearer(key)).json() for key in (shop, desk)]
            assert [answer["unknown"] for answer in found] == [[], ["z"]]
            assert client.post("/v1/rank", json=asked).status_code == 401
            assert client.get("/readyz").json() == {"status": "ready"}
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "")
    assert (tmp_path / "shop" / "events.db").exists()
    assert (tmp_path / "desk" / "events.db").exists()


def test_two_projects_without_keys_are_refused_on_their_own_machine_too(tmp_path):
    with serving([project(tmp_path, name) for name in ("shop", "desk")]) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "the project shop has no keys, and several projects are told apart by their keys" in err
