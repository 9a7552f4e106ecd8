"""The findings for people: a line each, the most important sign first."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from serving.doctor.finding import Finding, State

SIGNS: Final[dict[State, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "problem": ("✗", "bold red"),
}
WIDTH: Final = 20


def line(finding: Finding) -> Text:
    sign, style = SIGNS[finding.state]
    text = Text.assemble((sign, style), f" {finding.check:{WIDTH}} {finding.found}")
    return text.append(f" → {finding.mend}", style="bold") if finding.mend else text


def summary(findings: Sequence[Finding]) -> Text:
    problems, warnings = (sum(finding.state == state for finding in findings) for state in ("problem", "warning"))
    if not problems and not warnings:
        return Text("nothing to mend", style="green")
    return Text(f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}", style="red" if problems else "yellow")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
