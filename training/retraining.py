"""One retraining: from the event log to a challenger, and from the gate to a new champion or none.

parity audit of what was served → forget users who are still to be forgotten → export → import → checks of the logs →
drift → features → text model → ranker → leak audit → contest with the champion → decision → publish, promote and
delete the oldest bundles, or keep the champion and fill the online store anew.

Each stage leaves its result under a name made of what went into it, so that a run that was killed is gone on with by
the next one, and ends in the same state. The challenger does not learn from the latest [gate] days: on them both are
measured, and what was measured is what serves. A champion that was trained on some of these days is not measured on
them. One that was trained with users who are forgotten since is replaced, its text model as well.

Reads   recsys.toml, events.db, the files of [source], bundles/champion and the object store of [bundles] url
Writes  all that recsys export, import, drift and train write, and tables/checks.json, tables/parity.json,
        bundles/BUNDLE_ID.decision.json, retrain.json, and tracking/ for trackers (training.retrain_tracking)
"""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import polars as pl
from rich.console import Console, RenderableType

from recsys.bundle import CHAMPION, Bundle, champion, decision_path, open_bundle
from recsys.cli import GROUP, load_command
from recsys.durable import at_once_or_not, put
from recsys.errors import DataError, StoreError
from recsys.forgetting.lineage import read_mark
from recsys.forgetting.register import Register
from recsys.importing import import_tables
from recsys.importsummary import TooManyBadRows
from recsys.schema import EVENT_TYPE, TABLES, TIMESTAMP, USER_ID
from recsys.shelf import Shelf
from recsys.workspace import RETRAIN_LOCK, Workspace
from training.audit_leaks import audit_leaks, findings
from training.carried_text import CarriedText
from training.checks_report import BrokenLogs, ChecksReport, Finding, report_path, written
from training.contenders import challenger_of, champion_of
from training.contest import Contest, hold
from training.data_checks import check_logs
from training.drift.observing import observe
from training.drift.table import drift_table
from training.gate import Decision, decide, write_decision
from training.parity import Parity, parity_of_served
from training.pipeline import Pipeline
from training.publishing import bundle_id, fill, fill_online, publish_models
from training.retrain_tracking import Told, tell
from training.stages import hash_of_file, key_of

LOG_COLUMNS = 140


class Outcome(IntEnum):
    """How a retraining ended: the exit code. Errors end with 2, as of every command, or 1 for those not foreseen."""

    PROMOTED = 0
    KEPT = 3
    BUSY = 4


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """retrain.json: what the latest run learned from and, once it has ended, what came of it."""

    key: str
    champion: str | None
    """That of the beginning."""
    marked_at: datetime | None = None
    """The latest moment at which a user was forgotten that it was trained with."""
    challenger: str | None = None
    """Once it is decided."""
    outcome: int | None = None


def retrain(workspace: Workspace, *, dry_run: bool = False, now: datetime | None = None) -> Outcome:
    """Retrain once; BUSY when another process does. `now`: what the clock says.

    dry_run  do all but publish and promote: the outcome is what would have been

    Raises BrokenLogs, or another RecsysError; then the champion stays.
    """
    with at_once_or_not(workspace.root / RETRAIN_LOCK) as free:
        if not free:
            say("another retraining of this project runs; this one ends")
            return Outcome.BUSY
        retraining = _Retraining(workspace, dry_run, now or datetime.now(UTC))
        try:
            outcome = retraining.run()
            retraining.told.outcome = outcome.name.lower()
        except BrokenLogs as error:
            retraining.told.checks = error.report
            raise
        finally:
            # Of a run that did nothing, or for nothing, nobody is told.
            if not dry_run and not retraining.idle:
                tell(workspace, retraining.told)
        return outcome


@dataclass
class _Retraining:
    workspace: Workspace
    dry_run: bool
    now: datetime
    told: Told = field(default_factory=Told)
    idle: bool = False
    """Whether there was nothing new."""

    def run(self) -> Outcome:
        shelf = Shelf(self.workspace)
        # First: a store that does not answer is to fail this before hours of training, not after.
        shelf.follow()
        parity = parity_of_served(self.workspace) if (self.workspace.bundles / CHAMPION).exists() else None
        _forget(self.workspace)
        _export(self.workspace)
        _import(self.workspace, self.now)
        report = self.told.checks = check_logs(self.workspace, self.now)
        show(report)
        if report.errors:
            raise BrokenLogs(report_path(self.workspace), report)
        last, serving = _last(self.workspace), champion_of_project(self.workspace)
        mark = None if serving is None else read_mark(self.workspace.bundles, serving.manifest.bundle_id)
        key, marked_at = _key(self.workspace), None if mark is None else mark.latest
        goes_on = last is not None and last.key == key and marked_at in (None, last.marked_at)
        if last is not None and goes_on:
            if last.outcome is not None:
                say("nothing new since the latest retraining; nothing is trained")
                self.idle = True
                return Outcome.KEPT
            if serving is not None and serving.manifest.bundle_id == last.challenger != last.champion:
                say(f"{last.challenger} was promoted by a run that did not end well; nothing is left to do")
                return self._promoted(last, shelf)
        run = Run(key=key, champion=None if serving is None else serving.manifest.bundle_id, marked_at=marked_at)
        self._note(run)
        self.told.key, self.told.champion = run.key, run.champion
        self._observe(serving)
        pipeline = _pipeline(self.workspace, serving, has_to_go=mark is not None)
        self.told.cut = pipeline.cut
        too_few = False
        if serving is not None and (users := _users_to_measure(pipeline)) < self.workspace.config.gate.min_users:
            few = f"only {users} users to measure on after {pipeline.cut}"
            if mark is None:
                say(f"{few}; {run.champion} stays, and nothing is trained")
                return self._end(run, Outcome.KEPT)
            say(f"{few}; {run.champion} was trained with forgotten users and has to go all the same")
            too_few, pipeline = True, _pipeline(self.workspace, None)
        decision = self.told.decision = self._decision(
            pipeline, serving, parity, goes_on=goes_on, has_to_go=mark is not None, too_few=too_few
        )
        show(decision)
        if self.dry_run:
            return Outcome.PROMOTED if decision.promoted else Outcome.KEPT
        run = msgspec.structs.replace(run, challenger=decision.challenger)
        write_decision(self.workspace.bundles, decision)
        shelf.upload_decision(decision.challenger)
        self._note(run)
        if not decision.promoted:
            # Servers get what is known by now of items and users, whatever model they rank with.
            fill_online(pipeline)
            return self._end(run, Outcome.KEPT)
        metrics = {} if decision.contest is None else decision.contest.metrics
        publish_models(pipeline, {"models": {"recsys": metrics}}, instead_of=run.champion)
        return self._promoted(run, shelf)

    def _promoted(self, run: Run, shelf: Shelf) -> Outcome:
        """Once it is written down: what cannot be deleted is no reason to say that the promotion failed."""
        outcome = self._end(run, Outcome.PROMOTED)
        try:
            for name in shelf.prune():
                say(f"{name} is deleted, beyond the {self.workspace.config.bundles.keep} newest")
        except StoreError as error:
            say(f"{error}; old bundles are deleted by the next retraining")
        return outcome

    def _decision(
        self,
        pipeline: Pipeline,
        serving: Bundle | None,
        parity: Parity | None,
        *,
        goes_on: bool,
        has_to_go: bool,
        too_few: bool,
    ) -> Decision:
        """A new one; or that of the run that this one goes on with, if it was written down: by the same settings.

        has_to_go, too_few  the champion has to; there are too few users to measure both on
        """
        pipeline.compute_features()
        identity, champion_id = bundle_id(pipeline), None if serving is None else serving.manifest.bundle_id
        path = decision_path(self.workspace.bundles, identity)
        if goes_on and path.exists():
            before = msgspec.json.decode(path.read_bytes(), type=Decision)
            if before.champion == champion_id:
                say("decided before; not measured again")
                return before
        folder = pipeline.stages.run("challenger", pipeline.key, lambda into: fill(pipeline, into))
        gate = self.workspace.config.gate
        # Other windows at another cut: over the weeks each has its turn.
        seed = int(pipeline.cut.timestamp())
        audited = audit_leaks(pipeline, rows=gate.audited_rows, seed=seed, windows=gate.audited_windows)
        leaks = findings(audited)
        sizes = {"challenger": _bytes(folder)}
        contest: Contest | None = None
        if serving is not None:
            sizes["champion"] = _bytes(serving.path)
        if serving is not None and not too_few:
            contest = hold(pipeline, champion_of(pipeline, serving), challenger_of(pipeline, folder))
        return decide(
            gate,
            contest,
            leaks=leaks,
            parity=parity,
            sizes=sizes,
            champion=champion_id,
            challenger=identity,
            decided_at=self.now,
            measured=(pipeline.cut, pipeline.end),
            has_to_go=has_to_go,
            drift=[] if self.told.drift is None else [str(one) for one in self.told.drift.alerts],
        )

    def _observe(self, serving: Bundle | None) -> None:
        """What has moved since the champion was trained: it decides nothing, and what fails in it stops nothing."""
        try:
            self.told.drift = observe(self.workspace, serving, self.now, send=not self.dry_run)
        except Exception as error:
            say(f"the drift is not measured: {type(error).__name__}: {error}")
        else:
            show(drift_table(self.told.drift))

    def _end(self, run: Run, outcome: Outcome) -> Outcome:
        self._note(msgspec.structs.replace(run, outcome=int(outcome)))
        return outcome

    def _note(self, run: Run) -> None:
        if not self.dry_run:
            put(self.workspace.retrain, msgspec.json.encode(run) + b"\n")


def say(text: str) -> None:
    """A line for whoever reads the log of the retrainings."""
    print(f"retrain: {text}", file=sys.stderr, flush=True)


def show(what: RenderableType) -> None:
    """A table, as wide as the terminal, or wide enough for all of it in the log of a service."""
    console = Console(stderr=True)
    (console if console.is_terminal else Console(stderr=True, width=LOG_COLUMNS)).print(what)


def _forget(workspace: Workspace) -> None:
    """By way of the command line, as `_export`."""
    if Register(workspace.root).pending() is not None:
        _command(workspace, "forget", "--pending", "--locked")


def _export(workspace: Workspace) -> None:
    """By way of the command line, for the event log belongs to what serves, which training does not know."""
    if workspace.config.source.log and workspace.events.exists():
        _command(workspace, "export")


def _command(workspace: Workspace, name: str, *arguments: str) -> None:
    [entry] = entry_points(group=GROUP, name=name)
    load_command(entry).main(["--config", str(workspace.root / "recsys.toml"), *arguments], standalone_mode=False)


def _import(workspace: Workspace, now: datetime) -> None:
    try:
        import_tables(workspace, now)
    except TooManyBadRows as error:
        limit = workspace.config.source.max_bad_share
        finding = Finding("error", "import", str(error), f"at most {limit:.1%} refused rows of a table")
        report = written(workspace, ChecksReport(now, None, None, [finding]))
        raise BrokenLogs(report_path(workspace), report) from error


def _key(workspace: Workspace) -> str:
    """A hash of all that decides how a retraining ends, but for the champion."""
    config = workspace.config
    tables = [hash_of_file(workspace.table_path(table)) for table in TABLES]
    settings = [config.name, config.interaction_types, config.text, config.split, config.finetune, config.retrieval]
    settings += [config.ranker, config.evaluation, config.gate]
    # Who is told of a retraining changes nothing of it.
    settings.append(msgspec.structs.replace(config.retrain, trackers=None))
    attributes = [config.features.item_attributes, config.features.user_attributes]
    return key_of([tables, settings, attributes])


def _last(workspace: Workspace) -> Run | None:
    try:
        return msgspec.json.decode(workspace.retrain.read_bytes(), type=Run)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DataError(f"{workspace.retrain}: {error}; remove the file: the next run trains anew") from error


def champion_of_project(workspace: Workspace) -> Bundle | None:
    """None while there is none. Raises BundleError for one that is not whole."""
    promoted = (workspace.bundles / CHAMPION).exists()
    return open_bundle(champion(workspace.bundles)) if promoted else None


def _pipeline(workspace: Workspace, serving: Bundle | None, *, has_to_go: bool = False) -> Pipeline:
    """Cut where neither the challenger nor the champion has seen what follows; with the champion's text while it is
    young and the champion does not have to go."""
    moments = workspace.read_table("interactions")[TIMESTAMP]
    first, last, days = moments.min(), moments.max(), workspace.config.gate.days
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise DataError("interactions: the table has no rows, so that there is nothing to learn from; correct [source]")
    if last - timedelta(days=days) <= first:
        raise DataError(
            f"interactions: they run from {first} to {last}, too short for [gate] days = {days} to be held back; "
            "lower it, or begin with `recsys train --all-data`, and retrain when there is more"
        )
    cut = last - timedelta(days=days)
    if serving is None or serving.manifest.trained_until is None:
        return Pipeline(workspace, cut=cut)
    cut = max(cut, serving.manifest.trained_until)
    pipeline = Pipeline(workspace, cut=min(cut, last))
    carried = None if has_to_go else CarriedText.of(serving, workspace.cache)
    if carried is None or serving.manifest.text["settings"] != pipeline.text_settings_with(workspace.config.finetune):
        return pipeline
    going_on = Pipeline(workspace, cut=pipeline.cut, carried=carried)
    every = timedelta(days=workspace.config.retrain.text_every_days)
    if not carried.serves([*going_on.windows, going_on.cut], every=every):
        return pipeline
    say(f"the text model of {serving.manifest.bundle_id} serves on: it is of {carried.trained_until:%Y-%m-%d}")
    return going_on


def _users_to_measure(pipeline: Pipeline) -> int:
    after = pl.col(TIMESTAMP) >= pipeline.cut
    rows = pipeline.interactions
    known = rows.filter(~after)[USER_ID].unique()
    is_label = pl.col(EVENT_TYPE).is_in(pipeline.config.label_types)
    return rows.filter(after, is_label, pl.col(USER_ID).is_in(known.implode()))[USER_ID].n_unique()


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
