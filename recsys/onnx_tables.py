"""The large tables of an ONNX model, mapped into memory: the processes of a machine share them.

ONNX Runtime reads a model into memory of its own, and most of a text model are the vectors of its words. A table is
only ever looked up in, by Gather, so it may stay in the file; other weights are packed anew for the processor anyway.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto has the numbers of the fields.
"""

import mmap
from pathlib import Path
from typing import Any, Final

import numpy as np

from recsys.protobuf import Part, parts, varint

AT_LEAST_BYTES: Final = 1 << 20

_GRAPH: Final = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OPERATOR, _ATTRIBUTE = 1, 4, 5
_INNER_GRAPHS: Final = (6, 11)
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_TYPES: Final[dict[int, Any]] = {1: np.float32, 10: np.float16}


def tables_of(model: Path) -> dict[str, np.ndarray]:
    """By name every table of AT_LEAST_BYTES or more that Gather alone reads: mapped, of the shape that it has.

    Empty for a model with branches or loops, and for a file that is none. It must stay as it is, but may be removed.
    """
    try:
        with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _tables(model, content)
    except (OSError, ValueError, IndexError):
        # Whoever opens the model says better what is wrong with it.
        return {}


def _tables(model: Path, content: mmap.mmap) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    looked_up: set[str] = set()
    read: set[str] = set()
    for graph in parts(content):
        if graph.number != _GRAPH:
            continue
        for part in parts(content, graph.start, graph.end):
            if part.number == _INITIALIZER:
                found |= _table(model, content, part)
            elif part.number == _NODE:
                tables, others = _reads(content, part)
                looked_up |= tables
                read |= others
    return {name: found[name] for name in found if name in looked_up - read}


def _table(model: Path, content: mmap.mmap, tensor: Part) -> dict[str, np.ndarray]:
    """The tensor by its name, if it is a large one of floats."""
    shape: list[int] = []
    kind, name, raw = 0, "", None
    for part in parts(content, tensor.start, tensor.end):
        if part.number == _DIMS:
            # One by one, or packed behind each other.
            at = part.start
            while at < part.end:
                size, at = varint(content, at)
                shape.append(size)
        elif part.number == _TYPE:
            kind, _ = varint(content, part.start)
        elif part.number == _NAME:
            name = content[part.start : part.end].decode()
        elif part.number == _RAW:
            raw = part
    if raw is None or kind not in _TYPES or raw.end - raw.start < AT_LEAST_BYTES:
        return {}
    values = np.memmap(model, dtype=_TYPES[kind], mode="r", offset=raw.start, shape=tuple(shape))
    return {name: values} if values.nbytes == raw.end - raw.start else {}


def _reads(content: mmap.mmap, node: Part) -> tuple[set[str], set[str]]:
    """What a node looks up in, and what else it reads. Raises ValueError for a branch or a loop."""
    inputs, operator = [], ""
    for part in parts(content, node.start, node.end):
        if part.number == _INPUT:
            inputs.append(content[part.start : part.end].decode())
        elif part.number == _OPERATOR:
            operator = content[part.start : part.end].decode()
        elif part.number == _ATTRIBUTE:
            inner = [one for one in parts(content, part.start, part.end) if one.number in _INNER_GRAPHS]
            if inner:
                raise ValueError(f"the node at byte {node.start} has a graph of its own")
    tables = set(inputs[:1]) if operator == "Gather" else set()
    return tables, set(inputs[len(tables) :])
