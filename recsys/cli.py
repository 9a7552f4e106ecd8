"""The command line: `recsys COMMAND`.

Each package brings its own commands through the entry-point group `recsys.commands` (pyproject.toml): the vocabulary
imports no sibling, and an install without the training extra has a command line without the training framework.
"""

import sys
from importlib.metadata import EntryPoint, entry_points

import click

from recsys import __version__
from recsys.errors import RecsysError

GROUP = "recsys.commands"


class Commands(click.Group):
    """The installed commands, each imported only when it is called or listed in the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(entry.name for entry in entry_points(group=GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = [entry for entry in entry_points(group=GROUP) if entry.name == cmd_name]
        return load_command(found[0]) if found else None


def load_command(entry: EntryPoint) -> click.Command:
    """The command of an entry point, or one that says which extra is missing."""
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        missing = error.name

        def explain() -> None:
            raise RecsysError(
                f"recsys {entry.name}: the package {missing} is not installed; install recsys[train] to train and evaluate"
            )

        options = {"ignore_unknown_options": True, "allow_extra_args": True}
        return click.Command(entry.name, callback=explain, context_settings=options, help="(needs recsys[train])")
    assert isinstance(command, click.Command)
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="recsys")
def recsys() -> None:
    """A recommendation engine that understands text."""


def main() -> None:
    """Run the command line; a RecsysError is one message on stderr and exit code 2."""
    try:
        recsys(prog_name="recsys")
    except RecsysError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
