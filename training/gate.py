"""Whether a challenger takes the place of the champion, and the figures that say so.

Writes  bundles/BUNDLE_ID.decision.json, beside the bundle, which never changes

It does when the audits of leaks and of parity find nothing, the lower end of the 95 % interval of the difference on the
main metric lies above the margin, no slice is significantly worse, and it stays within its budgets of size and time.

A champion that was trained with users who are forgotten since (recsys.forgetting.lineage) has to go: only a leak keeps
it, and all else that speaks against the challenger is a warning.

Slices are many, and one in twenty of equal models would be "worse" by chance: the level of each is 5 % divided by their
number (Bonferroni). Where there are too few users to say anything, nothing is said.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.table import Table

from recsys.bundle import decision_path
from recsys.config import Gate
from recsys.durable import put
from training.contest import Contest
from training.parity import Parity

LEVEL: Final = 0.05
SLACK_MS: Final = 1.0
"""A difference of less is the noise of the clock, whatever the factor."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided of a challenger and why."""

    challenger: str
    champion: str | None
    """None: there was none."""
    promoted: bool
    decided_at: datetime
    measured_from: datetime
    measured_until: datetime
    reasons: list[str]
    """Why it is not promoted; empty when it is."""
    warnings: list[str]
    margin: float
    leaks: list[str]
    bytes: dict[str, int]
    """champion, challenger → size of the bundle."""
    contest: Contest | None
    """None: it was not measured."""
    parity: Parity | None = None
    """Whether servers answered from the features that training computes; None: nothing could be said."""
    drift: list[str] = []
    """Alerts of what has moved since the champion was trained (recsys.drift); they decide nothing."""

    def __rich__(self) -> Table:
        verdict = "is promoted" if self.promoted else f"is refused, {self.champion or 'nothing'} stays"
        title = f"{self.challenger} {verdict}\n" + "\n".join(
            [
                *(f"refused: {reason}" for reason in self.reasons),
                *(f"warning: {text}" for text in self.warnings),
                *(f"drift: {text}" for text in self.drift),
            ]
        )
        metric = self.contest.metric if self.contest else ""
        shown = Table(title=title.strip(), title_justify="left")
        for name in (metric, "users", "champion", "challenger", "difference", "95 % interval", "p"):
            shown.add_column(name, justify="left" if name == metric else "right", no_wrap=True)
        for one in [self.contest.whole, *self.contest.slices] if self.contest else []:
            shown.add_row(
                one.name,
                f"{one.users:,}{' (few)' if one.few else ''}",
                f"{one.champion:.4f}",
                f"{one.challenger:.4f}",
                f"{one.difference:+.4f}",
                f"{one.ci[0]:+.4f} to {one.ci[1]:+.4f}",
                f"{one.p:.3f}",
            )
        return shown


def decide(
    gate: Gate,
    contest: Contest | None,
    *,
    leaks: Sequence[str],
    parity: Parity | None = None,
    sizes: dict[str, int],
    champion: str | None,
    challenger: str,
    decided_at: datetime,
    measured: tuple[datetime, datetime],
    has_to_go: bool = False,
    drift: Sequence[str] = (),
) -> Decision:
    """Judge a challenger. Without a champion it only has to be free of leaks.

    contest  None: there is no champion, or too few users to measure on
    parity   None: no answers were replayed
    sizes    bytes of the champion, where there is one, and of the challenger
    measured from when and until when the contest was held
    has_to_go  the champion was trained with users who are forgotten since
    drift    alerts, which decide nothing
    """
    reasons, against = [f"leak: {line}" for line in leaks], list[str]()
    warnings: list[str] = []
    if parity is not None and parity.replayed >= gate.min_audited_requests:
        against += [f"parity: {line}" for line in parity.findings]
    if contest is not None:
        against += [*too_bad(gate, contest), *too_costly(gate, contest, sizes)]
        warnings += shifted(contest.calibration)
    elif champion is not None:
        against.append(
            f"fewer than {gate.min_users} users chose anything from {measured[0]:%Y-%m-%d} on, too few to measure on"
        )
    if has_to_go:
        warnings += [f"{reason}; the champion was trained with forgotten users and has to go" for reason in against]
    else:
        reasons += against
    return Decision(
        challenger=challenger,
        champion=champion,
        promoted=not reasons,
        decided_at=decided_at,
        measured_from=measured[0],
        measured_until=measured[1],
        reasons=reasons,
        warnings=warnings,
        margin=gate.margin,
        leaks=list(leaks),
        bytes=sizes,
        contest=contest,
        parity=parity,
        drift=list(drift),
    )


def too_bad(gate: Gate, contest: Contest) -> Iterator[str]:
    """What it does worse than the champion, beyond what is allowed."""
    whole, bound = contest.whole, gate.margin * contest.whole.champion
    if whole.users < gate.min_users:
        yield f"{whole.users} users to measure on, expected at least {gate.min_users}"
    if whole.ci[0] <= bound:
        yield (
            f"{contest.metric} differs by {whole.difference:+.4f}, surely by more than {whole.ci[0]:+.4f}; expected "
            f"surely more than {bound:+.4f}, which is {gate.margin:+.1%} of the champion's {whole.champion:.4f}"
        )
    tested = [one for one in contest.slices if not one.few]
    level = LEVEL / max(len(tested), 1)
    for one in tested:
        if one.difference < 0 and one.p < level:
            yield (
                f"{one.name}: {contest.metric} is {-one.difference:.4f} lower than {one.champion:.4f} over "
                f"{one.users:,} users, p = {one.p:.4f}; expected no slice that is worse with p < {level:.4f}"
            )


def too_costly(gate: Gate, contest: Contest, sizes: dict[str, int]) -> Iterator[str]:
    """The budgets that it exceeds."""
    if sizes["challenger"] > gate.max_size * sizes["champion"]:
        yield (
            f"it has {sizes['challenger']:,} bytes; expected at most {gate.max_size:g} times the "
            f"{sizes['champion']:,} of the champion"
        )
    was, found = contest.milliseconds["champion"], contest.milliseconds["challenger"]
    if found > max(gate.max_latency * was, was + SLACK_MS):
        yield f"a user takes {found:.1f} ms; expected at most {gate.max_latency:g} times the {was:.1f} of the champion"


def shifted(calibration: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Where candidates of the same standing are chosen at another rate, for sure: what is built on scores may care."""
    before = {one["from"]: one for one in calibration["champion"]}
    for one in calibration["challenger"]:
        was = before.get(one["from"])
        if was and (one["rate_ci"][0] > was["rate_ci"][1] or one["rate_ci"][1] < was["rate_ci"][0]):
            yield (
                f"calibration: of the candidates from {one['from']:.0%} to {one['to']:.0%} by score {one['rate']:.2%} "
                f"are chosen, with the champion {was['rate']:.2%}"
            )


def write_decision(bundles: Path, decision: Decision) -> None:
    """On the disk when the call returns."""
    bundles.mkdir(exist_ok=True)
    document = msgspec.json.format(msgspec.json.encode(decision), indent=2) + b"\n"
    put(decision_path(bundles, decision.challenger), document)
