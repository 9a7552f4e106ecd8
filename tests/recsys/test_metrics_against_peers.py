"""Our per-user metrics are those of ranx and of ir-measures (trec_eval) on random runs.

Ours on the left, theirs on the right, all of binary relevance:

    recall    hits / all relevant items         ranx recall, R
    ndcg      log2 discount, ideal of top k     ranx ndcg, nDCG
    mrr       first hit within k                ranx mrr, RR
    map       over all relevant items           ranx map, AP
    hit_rate  any hit within k                  ranx hit_rate, Success
"""

import warnings

import numpy as np
import pytest

from recsys.config import Evaluation
from recsys.metrics import per_user_metrics

# Their imports warn of what they use themselves, and in our tests a warning is an error.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ir_measures
    import ranx

IR_MEASURES = {
    "recall": ir_measures.R,
    "ndcg": ir_measures.nDCG,
    "mrr": ir_measures.RR,
    "map": ir_measures.AP,
    "hit_rate": ir_measures.Success,
}
USERS = 40


def random_run(seed: int, *, longest: int, most_relevant: int) -> tuple[list[np.ndarray], list[set[int]]]:
    """Lists of 1 to `longest` items and 1 to `most_relevant` relevant ones for each user, out of 120 items."""
    random = np.random.default_rng(seed)
    top = [random.permutation(120)[: random.integers(1, longest + 1)] for _ in range(USERS)]
    relevant = [set(random.permutation(120)[: random.integers(1, most_relevant + 1)].tolist()) for _ in range(USERS)]
    return top, relevant


def as_run(top: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """The lists as theirs: user → item → score, higher first and no two alike."""
    return {
        f"u{user:02}": {f"i{item}": float(len(ranked) - rank) for rank, item in enumerate(ranked)}
        for user, ranked in enumerate(top)
    }


def as_qrels(relevant: list[set[int]]) -> dict[str, dict[str, int]]:
    return {f"u{user:02}": {f"i{item}": 1 for item in items} for user, items in enumerate(relevant)}


@pytest.fixture(
    params=[
        pytest.param((0, 120, 12), id="long lists"),
        pytest.param((1, 8, 12), id="lists shorter than k"),
        pytest.param((2, 120, 100), id="more relevant items than k"),
        pytest.param((3, 30, 1), id="one relevant item"),
    ]
)
def run(request):
    seed, longest, most_relevant = request.param
    cutoffs = tuple(np.random.default_rng(seed).integers(1, 50, size=3).tolist())
    at = Evaluation(recall_at=cutoffs, ndcg_at=cutoffs, mrr_at=cutoffs, map_at=cutoffs, hit_rate_at=cutoffs)
    top, relevant = random_run(seed, longest=longest, most_relevant=most_relevant)
    return top, relevant, per_user_metrics(top, relevant, at)


@pytest.mark.filterwarnings("ignore")
def test_every_metric_is_that_of_ranx(run):
    top, relevant, ours = run
    qrels, ranked = ranx.Qrels(as_qrels(relevant)), ranx.Run(as_run(top))
    theirs = ranx.evaluate(qrels, ranked, list(ours), return_mean=False, make_comparable=True)
    for metric, values in ours.items():
        assert values == pytest.approx(theirs[metric]), metric


def test_every_metric_is_that_of_ir_measures(run):
    top, relevant, ours = run
    wanted = {name: IR_MEASURES[name.split("@")[0]] @ int(name.split("@")[1]) for name in ours}
    evaluator = ir_measures.evaluator(list(wanted.values()), as_qrels(relevant))
    theirs = {(found.query_id, found.measure): found.value for found in evaluator.iter_calc(as_run(top))}
    for name, values in ours.items():
        expected = [theirs[f"u{user:02}", wanted[name]] for user in range(USERS)]
        assert values == pytest.approx(expected), name
