import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from recsys import cli
from recsys.errors import RecsysError
from tests.recsys.project import NOON, interactions, project


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """The exit code of `recsys ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["recsys", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def entry(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> EntryPoint:
    """The entry point of a command in a module with this text."""
    monkeypatch.syspath_prepend(str(folder))
    (folder / f"{folder.name}_module.py").write_text(text)
    return EntryPoint("tune", f"{folder.name}_module:tune", cli.GROUP)


def test_import_prints_what_became_of_the_rows(tmp_path, monkeypatch, capsys):
    project(tmp_path, interactions=interactions(f"u,a,view,{NOON}", "u,a,view,never"))
    assert run(monkeypatch, "import", "--config", str(tmp_path / "recsys.toml")) == 0
    assert "1 unreadable timestamp" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file or folder"),
        ("user,item\nu,a\n", "expected 'user_id'"),
        ("", "the file is empty"),
        (interactions(), "found no rows"),
        (interactions("u,a,view,never"), "100.0% of the rows of interactions were refused"),
    ],
)
def test_data_that_cannot_be_imported_is_one_message_and_exit_code_2(tmp_path, monkeypatch, capsys, text, message):
    project(tmp_path, interactions=text or "")
    if text is None:
        (tmp_path / "interactions.csv").unlink()
    assert run(monkeypatch, "import", "--config", str(tmp_path / "recsys.toml")) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert message in error.splitlines()[-1]
    assert error.splitlines()[-1].startswith("error: ")


def test_a_bad_share_shows_the_counts_before_the_message(tmp_path, monkeypatch, capsys):
    project(tmp_path, max_bad_share=0.1, interactions=interactions(f"u,a,view,{NOON}", "u,a,view,never"))
    assert run(monkeypatch, "import", "--config", str(tmp_path / "recsys.toml")) == 2
    output = capsys.readouterr()
    assert "1 unreadable timestamp" in output.out
    assert "50.0% of the rows of interactions were refused" in output.err


def test_a_bad_config_is_one_message_and_exit_code_2(tmp_path, monkeypatch, capsys):
    (tmp_path / "recsys.toml").write_text("name = 1\n")
    for path in ("recsys.toml", "none.toml"):
        assert run(monkeypatch, "import", "--config", str(tmp_path / path)) == 2
        assert capsys.readouterr().err.startswith(f"error: {tmp_path / path}: ")


def test_a_command_whose_package_is_not_installed_says_which_extra_has_it(tmp_path, monkeypatch):
    command = cli.load_command(entry(tmp_path, monkeypatch, "import torch_that_is_not_there"))
    assert command.get_short_help_str() == "(needs recsys[train])"
    with pytest.raises(RecsysError, match=r"torch_that_is_not_there is not installed; install recsys\[train\]"):
        command.main(["--any", "argument"], standalone_mode=False)


def test_a_module_of_ours_that_is_missing_is_no_matter_of_extras(tmp_path, monkeypatch):
    command = cli.load_command(entry(tmp_path, monkeypatch, "import recsys.not_there"))
    assert "extra" not in command.get_short_help_str()
    with pytest.raises(RecsysError, match=r"our own module recsys\.not_there is missing"):
        command.main([], standalone_mode=False)


def test_a_command_that_is_there_is_itself(tmp_path, monkeypatch):
    command = cli.load_command(entry(tmp_path, monkeypatch, "import click\n@click.command()\ndef tune(): 'Tune it.'"))
    assert isinstance(command, click.Command)
    assert command.get_short_help_str() == "Tune it."


def test_the_help_lists_the_commands():
    result = CliRunner().invoke(cli.recsys, ["--help"])
    assert result.exit_code == 0
    assert {"import", "init"} <= {line.split()[0] for line in result.output.splitlines() if line.startswith("  ")}


@pytest.mark.parametrize(
    ("package", "extra"),
    [("optuna", "tune"), ("tensorboardX", "tensorboard"), ("mlflow.tracking", "mlflow"), ("torch", "train")],
)
def test_each_optional_package_names_its_own_extra(package, extra):
    message = cli.what_to_install(ModuleNotFoundError(name=package))
    assert f"{package} is not installed; install recsys[{extra}] to " in message
