"""Whether servers answered from the features that training computes, for the gate: `recsys audit parity`, asked before
the tables change.

What is imported may have happened before the features were put into the online store, and be unknown to servers. So
answers are replayed before the import, and only from the tables that the online store was filled from. What was found
is kept: a retraining that goes on after a kill, with other tables, says the same.

Reads   events.db, bundles/, tables/, features/
Writes  features/filled.json   what the online store was filled from
        tables/parity.json     what was found
"""

from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

from features.store import BehaviourStore
from recsys.cli import load_command
from recsys.durable import put
from recsys.errors import DataError
from recsys.schema import TABLES
from recsys.workspace import Workspace
from training.stages import hash_of_file

AUDITS = "recsys.audits"
T = TypeVar("T")


class FilledFrom(msgspec.Struct, frozen=True):
    """The name of a filling of the online store, and SHA-256 of each table that it was made from."""

    filling: str
    tables: list[str]


class Parity(msgspec.Struct, frozen=True):
    """What the audit found.

    filling   of the online store, from which the answers were made
    replayed  how many answers
    findings  what differs, in words
    """

    filling: str
    replayed: int
    findings: list[str]


class _Audited(msgspec.Struct):
    """The part of its JSON that is looked at."""

    replayed: int
    findings: list[str]


def note_filling(workspace: Workspace, store: BehaviourStore) -> None:
    """Write down which tables the online store was just filled from."""
    put(_noted(workspace), msgspec.json.encode(FilledFrom(store.online_filling(), _hashes(workspace))) + b"\n")


def parity_of_served(workspace: Workspace) -> Parity | None:
    """What differs in the answers from the features that are in the online store now; None when nothing can be said.

    Call it before anything is imported.
    """
    requests, path = workspace.config.gate.audited_requests, workspace.root / "tables" / "parity.json"
    noted = _read(_noted(workspace), FilledFrom)
    # A store that something else filled is of nobody knows which tables.
    if requests == 0 or noted is None or noted.filling != BehaviourStore.of(workspace).online_filling():
        return None
    if noted.tables != _hashes(workspace):
        before = _read(path, Parity)
        return before if before is not None and before.filling == noted.filling else None
    audited = _audit(workspace, requests)
    found = Parity(noted.filling, audited.replayed, audited.findings)
    put(path, msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return found


def _audit(workspace: Workspace, requests: int) -> _Audited:
    """By way of the command line, for what is served belongs to serving, which training does not know."""
    [entry] = entry_points(group=AUDITS, name="parity")
    with TemporaryDirectory(prefix="recsys-parity-") as folder:
        result = Path(folder) / "parity.json"
        arguments = ["--config", str(workspace.root / "recsys.toml"), "--requests", str(requests), "--latest"]
        load_command(entry).main([*arguments, "--json", str(result)], standalone_mode=False)
        return msgspec.json.decode(result.read_bytes(), type=_Audited)


def _noted(workspace: Workspace) -> Path:
    return workspace.features / "filled.json"


def _hashes(workspace: Workspace) -> list[str]:
    return [hash_of_file(workspace.table_path(table)) for table in TABLES]


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}; remove the file: the next retraining writes it anew") from error
