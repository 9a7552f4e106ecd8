"""What README.md and CONTRIBUTING.md say can be done can be done."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import msgspec
import pytest

from recsys.cli import recsys
from serving.api import create_app
from serving.events import EventLog
from serving.item_types import Item
from serving.service import Service
from serving.types import ExplainRequest, Interaction, RankRequest, RecommendRequest, SimilarRequest
from serving.user_types import User
from tests.serving.fake_engine import CONFIG

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def tree() -> list[str]:
    """The paths in the first column of the block below "## The house"."""
    section = README.partition("## The house\n")[2]
    found = FENCE.search(section)
    assert found is not None
    return [line.split()[0] for line in found[2].splitlines()]


def commands(program: str) -> list[list[str]]:
    """Every call of a program in a block of shell or in `code`, as its arguments."""
    lines: list[str] = []
    for text in DOCUMENTS.values():
        lines += [line for kind, block in FENCE.findall(text) if kind == "sh" for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    parts = [shlex.split(line) for line in lines if program in line]
    return [words[1:] for words in parts if words and words[0] in (program, f".venv/bin/{program}")]


def test_every_path_in_the_tree_exists():
    assert tree()
    for path in tree():
        assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), path


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_every_top_level_folder_that_git_tracks_is_in_the_tree():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {f"{path.split('/')[0]}/" for path in tracked.splitlines() if "/" in path}
    assert folders <= set(tree())


@pytest.mark.parametrize("words", commands("recsys"), ids=" ".join)
def test_every_recsys_command_and_option_exists(words: list[str]):
    context = click.Context(recsys)
    command = recsys.get_command(context, words[0])
    assert command is not None, f"recsys {words[0]} does not exist; there are {recsys.list_commands(context)}"
    if isinstance(command, click.Group):
        command = command.get_command(context, words[1])
        assert command is not None, f"recsys {words[0]} {words[1]} does not exist"
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_every_make_target_exists(words: list[str]):
    targets = re.findall(r"^\.PHONY: (\w+)$", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert words[0] in targets


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_linked_or_named_exists(name: str):
    text = FENCE.sub("", DOCUMENTS[name])
    linked = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    named = re.findall(r"`((?:\.ci|recsys|features|training|serving|tests|examples|requirements|docs)/[\w./-]*)`", text)
    for path in linked + named:
        assert (ROOT / path).exists(), path


def test_every_route_that_is_called_exists_and_takes_what_is_sent(tmp_path):
    bodies = {
        "/v1/recommend": RecommendRequest,
        "/v1/rank": RankRequest,
        "/v1/explain": ExplainRequest,
        "/v1/similar": SimilarRequest,
        "/v1/events": Interaction,
        "/v1/items": Item,
        "/v1/users": User,
    }
    with EventLog.open(tmp_path / "events.db") as log:
        routes = {route.path for route in create_app(Service(log, CONFIG)).routes}
    called = re.findall(r"curl -s localhost:8000(\S+) --json '([^']*)'", README)
    assert {path for path, _ in called} == set(bodies) <= routes
    for path, body in called:
        msgspec.json.decode(body, type=bodies[path])
    assert "/v1/items/{item_id:path}" in routes
    assert "curl -s localhost:8000/v1/items/new-1 -X DELETE" in README
    assert 'curl -s "localhost:8000/v1/trending?limit=5"' in README
    assert "/v1/trending" in routes
