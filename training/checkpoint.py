"""Where a training stands, in one file that is whole or not there: safetensors, with the plain values as metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from recsys.durable import sync

STATE = "state"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write both beside the old checkpoint, then put them in its place; `state` is whatever JSON can hold."""
    partial = path.with_suffix(".partial")
    # safetensors refuses tensors that share memory, as two names for the same weights do.
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    save_file(copies, partial, {STATE: json.dumps(state)})
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What was saved last, on the CPU; None before the first time."""
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()[STATE])
        return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - it is no mapping


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with PREFIX and a dot, under what follows it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `part`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
