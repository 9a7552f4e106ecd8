"""What became of the rows of an import, table by table and reason by reason."""

from collections import Counter
from dataclasses import dataclass, field

from rich.table import Table

from recsys.errors import DataError


@dataclass
class Counts:
    """What became of the rows of one table: read = cleaned + refused + kept."""

    read: int = 0
    cleaned: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    kept: int = 0

    @property
    def bad_share(self) -> float:
        """The refused rows as a share of those that were not cleaned away."""
        return self.refused.total() / max(self.read - self.cleaned.total(), 1)


@dataclass(frozen=True)
class ImportSummary:
    """The counts of every table that was read."""

    tables: dict[str, Counts]

    def __rich__(self) -> Table:
        shown = Table("table", "read", "cleaned", "refused", "kept", title="Import")
        for name, counts in self.tables.items():
            shown.add_row(
                name, f"{counts.read:,}", _by_reason(counts.cleaned), _by_reason(counts.refused), f"{counts.kept:,}"
            )
        return shown


class TooManyBadRows(DataError):
    """More rows of a table were refused than max_bad_share allows; the tables of the last import are still there."""

    def __init__(self, message: str, summary: ImportSummary) -> None:
        super().__init__(message)
        self.summary = summary


def _by_reason(counts: Counter[str]) -> str:
    return "\n".join(f"{count:,} {reason}" for reason, count in counts.most_common()) or "–"
