"""Measure the drift of a project, leave it where people and servers find it, and send what is new of the alerts.

Writes  tables/drift.json, drift.html
"""

import sys
from datetime import datetime
from typing import Final

import msgspec

from recsys.bundle import Bundle
from recsys.drift import DriftReport, read_drift
from recsys.durable import put
from recsys.workspace import Workspace
from training.drift.measure import measure_drift
from training.drift.page import write_page
from training.drift.webhook import WebhookError, tell

PAGE: Final = "drift.html"


def observe(workspace: Workspace, champion: Bundle | None, now: datetime, *, send: bool = True) -> DriftReport:
    """What has moved. A webhook that fails is said on stderr: the next measurement sends what it was not told.

    Raises DataError when the log is too short to compare anything, or the latest drift.json cannot be read.
    """
    settings, before = workspace.config.drift, read_drift(workspace.drift)
    report = measure_drift(workspace, champion, now)
    # Before anything is sent: what waits for a webhook may be killed. What is over may be told again.
    alerts = {one.key for one in report.alerts}
    told = [] if before is None else [key for key in before.told if key in alerts]
    report = _written(workspace, msgspec.structs.replace(report, told=told))
    write_page(workspace.config.name, report, workspace.root / PAGE)
    if not send or settings.webhook is None:
        return report
    try:
        tell(settings.webhook, workspace.config.name, report)
    except WebhookError as error:
        print(f"warning: {error}", file=sys.stderr, flush=True)
        return report
    return _written(workspace, msgspec.structs.replace(report, told=sorted(alerts)))


def _written(workspace: Workspace, report: DriftReport) -> DriftReport:
    workspace.drift.parent.mkdir(exist_ok=True)
    put(workspace.drift, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return report
