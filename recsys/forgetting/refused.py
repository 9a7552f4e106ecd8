"""Refused rows without those of forgotten users: their lines stay, with the reason, and say nothing of what was there.

Reads and writes  quarantine/TABLE.jsonl
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from recsys.durable import put
from recsys.forgetting.who import Who

WITHHELD: Final = None
"""In the place of a row that may be of a forgotten user; its line in the file of the source is still named."""


def withheld(row: Any, who: Who) -> bool:
    """Whether a refused row may be of one of these: one of its values is the id, or it is a line that is no row at all,
    in which nobody can tell."""
    return isinstance(row, str) or bool(who.among(_texts(row)))


def forget_refused(path: Path, who: Who) -> int:
    """Withhold the rows in a quarantine file; returns how many."""
    if not path.exists():
        return 0
    lines, count = [], 0
    for line in path.read_bytes().splitlines():
        entry = msgspec.json.decode(line)
        if entry["row"] is not WITHHELD and withheld(entry["row"], who):
            # What comes after the colon is about the one line.
            entry |= {"row": WITHHELD, "reason": entry["reason"].partition(":")[0]}
            count += 1
        lines.append(msgspec.json.encode(entry) + b"\n")
    if count:
        put(path, b"".join(lines))
    return count


def _texts(value: Any) -> Iterator[str]:
    """Every value in a row, however deep, as an id would be read from it."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value
        yield value.strip()
    elif value is not None:
        yield str(value)
        if isinstance(value, float) and value.is_integer():
            yield str(int(value))
