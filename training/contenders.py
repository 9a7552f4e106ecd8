"""Champion and challenger, each with its own files, ready to rank for the same users from the same features.

Nothing is trained here. The champion ranks as a server would have it at the cut: items that came after it, or read
otherwise by now, are encoded with its own encoder.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

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
from recsys.schema import EVENT_TYPE, ITEM_ID
from recsys.split import split_by_time
from recsys.state import Floats, Positions
from training.carried_text import vectors_as_served
from training.evaluate import cases_of
from training.newcomers import cases_of_newcomers
from training.pipeline import Pipeline
from training.ranked_lists import rank_cases
from training.yardstick import Case

NEW_USERS: Final = "new users"


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
    view, vectors = as_served_now(pipeline, bundle)
    contender = _contender(view, bundle.path, vectors)
    check_comparable(pipeline, bundle, signals_of(contender))
    return contender


def as_served_now(pipeline: Pipeline, bundle: Bundle) -> tuple[Pipeline, Vectors]:
    """The pipeline with attributes as numbers of the bundle, and the vectors that a server has for it by now: those of
    new and changed items are made with its encoder; float32 (n_items, d)."""
    known = pl.read_parquet(bundle.path / CATALOGUE_FILE)
    project = pipeline.features.project
    numbers = Catalogue.load(known).with_attributes(dict(project.item_attributes)).numbers
    attributes = bundle.path / USER_ATTRIBUTES_FILE
    of_users = msgspec.json.decode(attributes.read_bytes(), type=Attributes) if attributes.exists() else None
    view = copy.copy(pipeline)
    view.catalogue = replace(pipeline.catalogue, numbers=numbers, of_users=of_users)
    return view, _vectors(pipeline, bundle, known)


def check_comparable(pipeline: Pipeline, bundle: Bundle, signals: Sequence[str]) -> None:
    """Raises BundleError when the ranker of a bundle has other features than this configuration; `signals`: of its text
    model."""
    if tuple(bundle.manifest.features) != pipeline.features.names(signals):
        raise BundleError(
            f"{bundle.path}: the ranker of the champion has other features than this configuration and version, so "
            "that the two cannot be compared; train and look at the figures with `recsys train`"
        )


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
