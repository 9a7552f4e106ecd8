"""What docs/security.md says can be done can be done."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from serving.commands import serve
from serving.keys_commands import keys
from serving.keys_file import KeysFile
from tests.serving.keyed import add_key
from tests.serving.test_key_server import address_in, first_line, project, serving

DOCUMENT = (Path(__file__).parents[1] / "docs" / "security.md").read_text("utf-8")
LINES = [line for block in re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.M | re.S) for line in block.splitlines()]
RECSYS = [shlex.split(line)[1:] for line in LINES if line.startswith("recsys ")]
CURL = [line for line in LINES if line.startswith("curl ")]


@pytest.mark.parametrize("words", RECSYS, ids=" ".join)
def test_every_command_parses(words: list[str]):
    command: click.Command = keys if words[0] == "keys" else serve
    if isinstance(command, click.Group):
        words = words[1:]
        found = command.get_command(click.Context(command), words[0])
        assert found is not None
        command = found
    assert command.make_context(words[0], words[1:]).params


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_every_call_is_answered(tmp_path):
    config = project(tmp_path, "shop")
    config.write_text(config.read_text().replace("click", "purchase"))
    environment = {"PATH": os.environ["PATH"], "RECSYS_KEY": add_key(KeysFile(config.parent / "keys.json"))}
    assert len(CURL) == 3
    with serving([config]) as process:
        environment["RECSYS_URL"] = address_in(first_line(process))
        for line in CURL:
            done = subprocess.run(
                ["bash", "-c", f"{line} --fail --max-time 20"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, bool(done.stdout)) == (0, True), (line, done.stderr)
