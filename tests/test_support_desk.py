"""The support desk of examples/support_desk: after training, a question finds its answer better than before."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.bundle import champion, open_bundle
from recsys.bundle_files import VECTORS_FILE
from recsys.encoder import bundle_encoder
from recsys.workspace import Workspace
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.engine import load_engine
from tests.commands import recsys

EXAMPLE = Path(__file__).parents[1] / "examples" / "support_desk"
QUESTIONS = pl.read_csv(EXAMPLE / "questions_heldout.csv")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The example, learned from to its end; fewer steps than by default are enough, and quicker."""
    folder = tmp_path_factory.mktemp("support_desk")
    for path in EXAMPLE.iterdir():
        shutil.copyfile(path, folder / path.name)
    config = folder / "recsys.toml"
    config.write_text(config.read_text() + "\n[finetune]\nmax_steps = 20\n")
    recsys("import", "--config", config, all_cores=True)
    recsys("train", "--config", config, "--all-data", all_cores=True)
    return Workspace.open(config)


@pytest.fixture(scope="module")
def engine(desk: Workspace) -> BundleEngine:
    return load_engine(desk)


def mean_reciprocal_rank(questions: np.ndarray, items: np.ndarray, right: list[int]) -> float:
    """Of the right item (n,) among items (m, d) ordered by cosine to each question (n, d)."""
    scores = questions @ items.T
    own = scores[np.arange(len(right)), right]
    return float((1 / (scores > own[:, None]).sum(axis=1).__add__(1)).mean())


def test_questions_that_were_never_seen_find_their_answers_better_than_before_training(desk):
    bundle = open_bundle(champion(desk.bundles))
    assert not bundle.manifest.text["uses_pretrained"]
    item_ids = pl.read_parquet(bundle.path / "catalogue.parquet")["item_id"].to_list()
    right = [item_ids.index(item) for item in QUESTIONS["item_id"]]
    questions = bundle_encoder(bundle, "fp32").encode(QUESTIONS["query"].to_list())
    taught = mean_reciprocal_rank(questions, np.load(bundle.path / VECTORS_FILE), right)
    # What the packaged encoder reaches as it is: SOURCE.md of the example.
    assert taught > 0.69 + 0.02


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("i forgot my password and cannot get in", "password-reset"),
        ("i moved house, please send the order to my new place", "change-address"),
        ("do your gift cards run out at some point", "gift-card"),
    ],
)
def test_a_question_ranks_the_right_answer_first(engine, question, answer):
    item_ids = pl.read_csv(EXAMPLE / "items.csv")["item_id"].to_list()
    assert answer in item_ids
    ranked = engine.rank(Asked("nobody-known", limit=3, query=question), item_ids)
    assert ranked.items[0].item_id == answer
