"""What was found in the logs before a training, as a report.

Writes  tables/checks.json
"""

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.table import Table

from recsys.durable import put
from recsys.errors import DataError
from recsys.workspace import Workspace

REPORT_FILE: Final = "checks.json"


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as expected; an error stops the retraining."""

    level: Literal["error", "warning"]
    check: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.check}: found {self.found}; expected {self.expected}"


class ChecksReport(msgspec.Struct, frozen=True):
    """What was looked at, and all that was found."""

    checked_at: datetime
    since: datetime | None
    until: datetime | None
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]

    def __rich__(self) -> Table | str:
        if not self.findings:
            return "logs: nothing unusual"
        shown = Table("level", "check", "found", "expected", title="Logs", title_justify="left")
        for finding in self.findings:
            shown.add_row(finding.level, finding.check, finding.found, finding.expected)
        return shown


class BrokenLogs(DataError):
    """The logs are not fit to learn from."""

    def __init__(self, path: Path, report: ChecksReport) -> None:
        lines = "".join(f"\n  {finding}" for finding in report.errors)
        super().__init__(
            f"{path}: the logs are not fit to learn from, and the champion stays:{lines}\n"
            "correct the logs; or, if they are right, the limits under [checks]"
        )
        self.report = report


def written(workspace: Workspace, report: ChecksReport) -> ChecksReport:
    """The same report, which now lies beside the tables."""
    path = report_path(workspace)
    path.parent.mkdir(exist_ok=True)
    put(path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report


def report_path(workspace: Workspace) -> Path:
    """Where the report of a project lies."""
    return workspace.table_path("items").with_name(REPORT_FILE)
