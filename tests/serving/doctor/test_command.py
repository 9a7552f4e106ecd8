"""`recsys doctor`: its lines, its JSON and its exit code."""

import json

from click.testing import CliRunner

from serving.doctor.command import doctor
from tests.serving.doctor.deployment import deployed


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(doctor, arguments)
    return done.exit_code, done.output


def test_a_line_for_each_check_and_exit_code_0_when_nothing_is_broken(tmp_path, made_scorer, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    code, said = run("--config", str(deployed(tmp_path, made_scorer)))
    lines = said.splitlines()
    assert code == 0
    # Sixteen checks, none wrapped, and what is to be mended.
    assert len(lines) == 17
    assert lines[0] == f"✓ configuration        {tmp_path}/recsys.toml of the project made"


def test_exit_code_1_and_what_to_mend_when_something_is(tmp_path, made_scorer):
    config = deployed(tmp_path, made_scorer)
    code, said = run("--config", str(config), "--host", "0.0.0.0", "--json")
    found = json.loads(said)
    assert (code, found["ok"]) == (1, False)
    (keys,) = [finding for finding in found["findings"] if finding["state"] == "problem"]
    assert keys["check"] == "keys"
    assert keys["mend"].startswith("make one: `recsys keys create")
    code, said = run("--config", str(config), "--host", "0.0.0.0")
    (line,) = [line for line in said.splitlines() if line.startswith("✗")]
    assert line == "✗ keys                 none, and 0.0.0.0 is reached by others → " + keys["mend"]
    assert said.splitlines()[-1].startswith("1 problem, ")


def test_a_missing_config_is_a_finding_too(tmp_path):
    code, said = run("--config", str(tmp_path / "recsys.toml"))
    assert code == 1
    assert said.startswith("✗ configuration ")
