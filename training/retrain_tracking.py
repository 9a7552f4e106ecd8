"""Tell trackers what a retraining learned from, what was found in the logs, and what was decided.

Figures, settings and names of bundles are told, and the files that say more: no row of a table, no id of a user or an
item, no path of this machine. A tracker that fails is a warning: it never ends a retraining.

    pip install 'recsys[mlflow]'; mlflow ui --backend-store-uri sqlite:///PROJECT/tracking/mlflow.db
"""

import re
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from recsys.bundle import decision_path
from recsys.cli import what_to_install
from recsys.config import Retrain
from recsys.drift import DriftReport
from recsys.workspace import Workspace
from training.checks_report import ChecksReport, report_path
from training.contest import Contest
from training.drift.observing import PAGE
from training.gate import Decision
from training.trackers import TRACKERS
from training.tracking import FOLDER, SECTIONS, parameters_of

DEFAULT: Final = "mlflow"
ALSO: Final = ("evaluation", "gate", "checks", "drift")
"""Sections that a training does not look at, and a retraining does."""

_REFUSED: Final = re.compile(r"[^\w\-. /]")
"""What MLflow does not take in a name."""


@dataclass
class Told:
    """What is known by the end of a retraining; None: it did not come to that."""

    key: str | None = None
    """A hash of tables and settings."""
    champion: str | None = None
    """That of the beginning."""
    cut: datetime | None = None
    """Up to when the challenger learned."""
    checks: ChecksReport | None = None
    drift: DriftReport | None = None
    decision: Decision | None = None
    outcome: str | None = None
    """None: it failed."""


def tell(workspace: Workspace, told: Told) -> None:
    """A run for each tracker of [retrain] trackers."""
    for name in wanted(workspace.config.retrain):
        try:
            tracker = TRACKERS[name](workspace.root / FOLDER)
            tracker.start(workspace.config.name, run_name(told), parameters(workspace, told))
            tracker.finish(metrics(told), artifacts(workspace, told), failed=told.outcome is None)
        except ModuleNotFoundError as error:
            _warn(name, what_to_install(error))
        except Exception as error:
            # Any: a server that is not there, a full disk, a version with other calls. The models are none the worse.
            _warn(name, f"{type(error).__name__}: {error}")


def wanted(settings: Retrain) -> tuple[str, ...]:
    """Those of recsys.toml; by default MLflow, if it is installed."""
    if settings.trackers is not None:
        return tuple(dict.fromkeys(settings.trackers))
    return (DEFAULT,) if find_spec(DEFAULT) else ()


def run_name(told: Told) -> str:
    """The challenger's, or what tells the data and settings from others."""
    if told.decision is not None:
        return told.decision.challenger
    return "retrain" if told.key is None else f"retrain-{told.key[:8]}"


def parameters(workspace: Workspace, told: Told) -> dict[str, Any]:
    """The settings by their place in recsys.toml, and what this retraining began with."""
    own = {
        "key": told.key,
        "champion": told.champion,
        "cut": None if told.cut is None else told.cut.isoformat(),
        "outcome": told.outcome or "failed",
    }
    found = parameters_of(workspace.config, (*SECTIONS, *ALSO))
    # Its path is often a secret.
    found.pop("drift.webhook", None)
    return found | own


def metrics(told: Told) -> dict[str, float]:
    """Figures of the checks, the drift and the decision, by names such as contest/new users/difference."""
    found: dict[str, float] = {}
    if told.checks is not None:
        levels = [finding.level for finding in told.checks.findings]
        found |= {"checks/errors": levels.count("error"), "checks/warnings": levels.count("warning")}
    if told.drift is not None:
        found |= {"drift/alerts": len(told.drift.alerts), "drift/notes": len(told.drift.at_level("note"))}
        found |= {f"drift/{figure.key}": figure.value for figure in told.drift.figures}
    if told.decision is not None:
        found |= _of_decision(told.decision)
    return {_REFUSED.sub("_", name.replace("@", "_at_")): float(value) for name, value in found.items()}


def artifacts(workspace: Workspace, told: Told) -> list[Path]:
    """The files of this retraining."""
    found = []
    if told.checks is not None:
        found.append(report_path(workspace))
    if told.drift is not None:
        found += [workspace.drift, workspace.root / PAGE]
    if told.decision is not None:
        found.append(decision_path(workspace.bundles, told.decision.challenger))
    return found


def _of_decision(decision: Decision) -> dict[str, float]:
    found: dict[str, float] = {
        "promoted": float(decision.promoted),
        "refusals": len(decision.reasons),
        "leaks": len(decision.leaks),
    }
    found |= {f"bytes/{name}": size for name, size in decision.bytes.items()}
    return found | ({} if decision.contest is None else _of_contest(decision.contest))


def _of_contest(contest: Contest) -> dict[str, float]:
    found: dict[str, float] = {f"milliseconds/{name}": value for name, value in contest.milliseconds.items()}
    for one in [contest.whole, *contest.slices]:
        place = f"contest/{contest.metric}/{one.name}"
        found |= {f"{place}/users": one.users, f"{place}/champion": one.champion, f"{place}/challenger": one.challenger}
        found |= {f"{place}/difference": one.difference, f"{place}/low": one.ci[0], f"{place}/high": one.ci[1]}
    for task, values in contest.metrics.items():
        found |= {f"test/recsys/{task}/{name}": value for name, value in values.items() if not name.endswith("_ci")}
    return found


def _warn(name: str, problem: str) -> None:
    print(f"warning: {name} was not told of the retraining: {problem}", file=sys.stderr, flush=True)
