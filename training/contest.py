"""Champion and challenger on the same later data: the same users, the same features, each with its own files.

Nothing is trained here. The champion ranks as a server would have it at the cut: items that came after it, or read
otherwise by now, are encoded with its own encoder. Neither has learned from anything after the cut.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from features.recommender import Ranker, Recommender
from features.trees import open_ranker
from recsys.attributes import Attributes
from recsys.bundle import Bundle
from recsys.bundle_files import CATALOGUE_FILE, SCORER_FILE, USER_ATTRIBUTES_FILE, VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.encoder import bundle_encoder, bundle_text
from recsys.errors import BundleError
from recsys.interest import InterestScorer, Vectors
from recsys.metrics import per_user_metrics, summarise
from recsys.schema import EVENT_TYPE, ITEM_ID
from recsys.split import split_by_time
from recsys.state import Floats, Positions
from training.calibration import calibration
from training.carried_text import vectors_as_served
from training.evaluate import cases_of
from training.newcomers import cases_of_newcomers
from training.paired import paired_differences
from training.pipeline import Pipeline
from training.ranked_lists import rank_cases
from training.slices import FEW_USERS, cut_up, main_metrics
from training.yardstick import Case, users_of_items

TIMED_USERS: Final = 60
BIGGEST_CATEGORIES: Final = 3
NEW_USERS: Final = "new users"
NEW_TO_THE_USER: Final = "new to the user"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Challenger minus champion on the main metric over some users, with its paired 95 % interval."""

    name: str
    users: int
    few: bool
    """Too few users to decide anything by."""
    champion: float
    challenger: float
    difference: float
    ci: tuple[float, float]
    p: float
    """Two-sided."""


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """How both did."""

    metric: str
    whole: Difference
    slices: list[Difference]
    calibration: dict[str, list[dict[str, Any]]]
    """Of each the bins of training.calibration."""
    milliseconds: dict[str, float]
    """Of each the median for one user."""
    metrics: dict[str, dict[str, Any]]
    """Task → what the challenger reaches, as in the manifest of a bundle."""


@dataclass(frozen=True)
class Contender:
    """One of the two, ready to rank.

    cases  task → cases, in the same order for both
    """

    recommender: Recommender
    ranker: Ranker
    cases: Mapping[str, Sequence[Case]]

    def rank(self, what: str, task: str, depth: int) -> tuple[list[Positions], list[Positions], list[Floats]]:
        """For each case of a task the best items, the candidates, and beside these their scores."""
        ranked = rank_cases(what, self.recommender, self.ranker, self.cases[task])
        return (
            [one.first(depth) for one in ranked],
            [one.candidates.positions for one in ranked],
            [one.scores for one in ranked],
        )

    def milliseconds(self, case: Case) -> float:
        """For the candidates, features and scores of one user."""
        started = time.perf_counter()
        recommender = self.recommender
        prepared = recommender.prepare(case.user, case.exclude, recommender.signals(case.user))
        self.ranker.predict(prepared.matrix)
        return 1e3 * (time.perf_counter() - started)


def challenger_of(pipeline: Pipeline, folder: Path) -> Contender:
    """The models of the pipeline, out of the files that would be published."""
    return _contender(pipeline, folder, np.load(folder / VECTORS_FILE))


def champion_of(pipeline: Pipeline, bundle: Bundle) -> Contender:
    """A bundle at the cut of the pipeline. Raises BundleError when it has other features than this configuration."""
    known = pl.read_parquet(bundle.path / CATALOGUE_FILE)
    project = pipeline.features.project
    numbers = Catalogue.load(known).with_attributes(dict(project.item_attributes)).numbers
    attributes = bundle.path / USER_ATTRIBUTES_FILE
    of_users = msgspec.json.decode(attributes.read_bytes(), type=Attributes) if attributes.exists() else None
    view = copy.copy(pipeline)
    view.catalogue = replace(pipeline.catalogue, numbers=numbers, of_users=of_users)
    contender = _contender(view, bundle.path, _vectors(pipeline, bundle, known))
    names = pipeline.features.names(signals_of(contender))
    if tuple(bundle.manifest.features) != names:
        raise BundleError(
            f"{bundle.path}: the ranker of the champion has other features than this configuration and version, so "
            "that the two cannot be compared; train and look at the figures with `recsys train`"
        )
    return contender


def signals_of(contender: Contender) -> tuple[str, ...]:
    """The names of what the text model of a contender says."""
    assert contender.recommender.text is not None
    return contender.recommender.text.scorer.signals


def _vectors(pipeline: Pipeline, bundle: Bundle, known: pl.DataFrame) -> Vectors:
    encoder = bundle_encoder(bundle, pipeline.config.text.precision, threads=pipeline.config.retrain.threads or 0)
    reader = bundle_text(bundle, encoder)
    row_of = {item: row for row, item in enumerate(known[ITEM_ID].to_list())}
    rows = np.array([row_of.get(item, -1) for item in pipeline.catalogue.item_ids], dtype=np.int64)
    now = reader.of_table(pipeline.catalogue.table)
    return vectors_as_served(np.load(bundle.path / VECTORS_FILE), reader.of_table(known), rows, now, encoder)


def _contender(pipeline: Pipeline, folder: Path, vectors: Vectors) -> Contender:
    scorer = InterestScorer(folder / SCORER_FILE, vectors, history_items=pipeline.config.finetune.history_items)
    window = pipeline.window(pipeline.cut, None)
    # Nothing is hidden: what one of them was kept from, the other may have learned.
    tasks = cases_of(window, np.zeros(len(pipeline.catalogue), dtype=np.bool_))
    known, later = split_by_time(pipeline.interactions, pipeline.cut)
    chosen = later.filter(pl.col(EVENT_TYPE).is_in(pipeline.config.label_types))
    drawn = drawn_users([case.user_id for case in tasks["all"]], pipeline.config.gate.max_users)
    cases = {task: [case for case in tasks[task] if case.user_id in drawn] for task in ("all", "new")}
    cases[NEW_USERS] = cases_of_newcomers(pipeline, known, chosen)
    ranker = open_ranker(folder, pipeline.features.names(scorer.signals))
    return Contender(pipeline.recommender(window.items, scorer), ranker, cases)


def drawn_users(users: Sequence[str], most: int) -> frozenset[str]:
    """At most so many of them; the same for the same users."""
    if len(users) <= most:
        return frozenset(users)
    return frozenset(users[at] for at in np.random.default_rng(0).permutation(len(users))[:most].tolist())


def hold(pipeline: Pipeline, champion: Contender, challenger: Contender) -> Contest:
    """Measure both on what was chosen after the cut."""
    at = main_metrics(pipeline.config.evaluation)
    metric, depth = f"ndcg@{min(at.ndcg_at)}", max(*at.ndcg_at, *at.recall_at)
    tops: dict[str, tuple[list[Positions], list[Positions]]] = {}
    bins, metrics = {}, {}
    for task, cases in challenger.cases.items():
        found = []
        for name, contender in (("champion", champion), ("challenger", challenger)):
            top, candidates, scores = contender.rank(f"{name} on {task}", task, depth)
            found.append(top)
            if task == "all":
                bins[name] = calibration(candidates, scores, [case.relevant for case in cases])
        tops[task] = found[0], found[1]
        if cases:
            metrics[task] = summarise(per_user_metrics(found[1], [case.relevant for case in cases], at))

    def compared(name: str, task: str, relevant: Sequence[frozenset[int]]) -> Difference | None:
        rows = [row for row, wanted in enumerate(relevant) if wanted]
        if not rows:
            return None
        wanted = [relevant[row] for row in rows]
        ours, theirs = (
            per_user_metrics([top[row] for row in rows], wanted, at)[metric] for top in reversed(tops[task])
        )
        return difference_of(name, ours, theirs, metric)

    cases = challenger.cases["all"]
    known, later = split_by_time(pipeline.interactions, pipeline.cut)
    chosen = later.filter(pl.col(EVENT_TYPE).is_in(pipeline.config.label_types))
    categories = 0
    slices = [
        compared(NEW_TO_THE_USER, "new", [case.relevant for case in challenger.cases["new"]]),
        compared(NEW_USERS, NEW_USERS, [case.relevant for case in challenger.cases[NEW_USERS]]),
    ]
    for part in cut_up(cases, pipeline.catalogue, users_of_items(known, pipeline.catalogue), chosen):
        categories += part.by == "category"
        if part.by in ("history", "item") or (part.by == "category" and categories <= BIGGEST_CATEGORIES):
            slices.append(compared(part.name, "all", part.relevant))
    whole = compared("all", "all", [case.relevant for case in cases])
    assert whole is not None, "there are enough users, see training.gate"
    return Contest(
        metric=metric,
        whole=whole,
        slices=[one for one in slices if one is not None],
        calibration=bins,
        milliseconds=_milliseconds(champion, challenger),
        metrics=metrics,
    )


def difference_of(name: str, challenger: Floats, champion: Floats, metric: str) -> Difference:
    """The difference of two float64 (n_users,) of the same users."""
    found = paired_differences({metric: challenger}, {metric: champion})[metric]
    return Difference(
        name=name,
        users=len(challenger),
        few=len(challenger) < FEW_USERS,
        champion=found["theirs"],
        challenger=found["ours"],
        difference=found["difference"],
        ci=tuple(found["ci"]),
        p=found["p"],
    )


def _milliseconds(champion: Contender, challenger: Contender) -> dict[str, float]:
    """Medians over the same users, one after the other, so that what else the machine does slows both alike."""
    times: dict[str, list[float]] = {"champion": [], "challenger": []}
    for one, other in list(zip(champion.cases["all"], challenger.cases["all"], strict=True))[:TIMED_USERS]:
        times["champion"].append(champion.milliseconds(one))
        times["challenger"].append(challenger.milliseconds(other))
    return {name: float(np.median(values)) for name, values in times.items()}
