"""Look at the imported logs before anything is learned from them.

The import has checked row by row; here it is asked what it refused, and whether the rows together look as they always
did (training.latest_days). Plain Polars: a library for checks of data frames would check rows once more, and knows
nothing of the weeks before.

Reads   tables/, tables/import.json, quarantine/interactions.jsonl
Writes  tables/checks.json
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from recsys.schema import EVENT_TYPE
from recsys.user_caps import reason as beyond_cap
from recsys.workspace import Workspace
from training.checks_report import ChecksReport, Finding, written
from training.latest_days import Latest

UNKNOWN_TYPE: Final = "unknown event_type"
"""As recsys.validation says it."""
NAMED: Final = 5
"""Unknown types that a finding names."""


def check_logs(workspace: Workspace, now: datetime) -> ChecksReport:
    """Check the tables of a project, and write the report beside them; `now`: what the clock says."""
    config = workspace.config
    latest = Latest(
        workspace.read_table("interactions"), workspace.read_impressions(), config.label_types, config.checks
    )
    findings = [*refused(workspace), *latest.findings()]
    return written(workspace, ChecksReport(now, latest.since, latest.until, findings))


def refused(workspace: Workspace) -> Iterator[Finding]:
    """What the import refused, as it counted."""
    checks, most = workspace.config.checks, workspace.config.source.max_events_per_user_per_day
    path = workspace.table_path("items").with_name("import.json")
    counts: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    for table, count in counts.items():
        of = max(count["read"] - sum(count["cleaned"].values()), 1)
        unknown = count["refused"].get(UNKNOWN_TYPE, 0)
        others = sum(count["refused"].values()) - unknown
        if unknown:
            types = _unknown_types(workspace.quarantine_path(table), workspace.config.columns)
            yield Finding(
                "error" if unknown / of > checks.max_unknown_type_share else "warning",
                "new event types",
                f"{unknown:,} of {of:,} interactions are of {types}",
                f"some of {sorted(workspace.config.interaction_types)}; name the others under [interaction_types]",
            )
        if capped := count["cleaned"].get(beyond_cap(most), 0):
            yield Finding(
                "warning",
                f"{table} beyond the cap",
                f"{capped:,} were left out",
                f"at most {most:,} of one user in a day, [source] max_events_per_user_per_day; is it a robot?",
            )
        if others:
            yield Finding(
                "error" if others / of > checks.max_refused_share else "warning",
                f"refused rows of {table}",
                f"{others:,} of {of:,}, {others / of:.1%}",
                f"at most {checks.max_refused_share:.1%}; see {workspace.quarantine_path(table)}",
            )


def _unknown_types(quarantine: Path, columns: Any) -> str:
    """Some of the types that were refused, as the quarantine names them."""
    name = columns.get("interactions", {}).get(EVENT_TYPE, EVENT_TYPE)
    found: dict[str, None] = {}
    with quarantine.open("rb") as file:
        for line in file:
            entry = msgspec.json.decode(line)
            if entry["reason"] == UNKNOWN_TYPE and isinstance(entry["row"], dict):
                found.setdefault(str(entry["row"].get(name)))
            if len(found) > NAMED:
                break
    return ", ".join([repr(one) for one in list(found)[:NAMED]] + ["…"] * (len(found) > NAMED))
