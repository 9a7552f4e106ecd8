"""What a log of changes tells so far of each item or user: what is in memory grows with them, not with the log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Latest:
    """Of each id its fields, the line that told of it last, and the time of its latest version."""

    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    times: dict[str, datetime] = field(default_factory=dict)

    def tell(self, key: str, fields: dict[str, Any], line: int) -> bool:
        """Take the fields of an event over, beside those that it leaves out. Whether the key or any of it is new."""
        known = self.fields.get(key)
        after = fields if known is None else known | fields
        self.fields[key], self.lines[key] = after, line
        return after != known
