import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.bundle_files import (
    BATCH_SCORER_FILE,
    ENCODER_FILE,
    GATHER_FILE,
    SCORER_FILE,
    TOKENIZER_FILE,
    VECTORS_FILE,
)
from recsys.config import Text
from recsys.errors import LeakError
from recsys.interest import SIGNALS, InterestScorer, signal_names
from recsys.interest_inputs import Question
from recsys.text_neighbours import TextNeighbours
from tests.training.project import at, catalogue_of, config_of, user_of
from training import text_stage
from training.encoder import TextEncoder
from training.finetune import Finetuned
from training.text_stage import TEXT_FILE, TextModel, save_text_model
from training.texts_in_time import EVER
from training.user_tower import UserTower
from training.walk import Fold

CATALOGUE = catalogue_of("a", "b", "c")
CONFIG = config_of()
MOMENTS = [at(10), at(20), at(30)]
BETTER = {"pretrained": {"unseen": 0.1}, "finetuned": {"unseen": 0.2}}


def fold_of(turn: float, age_power: float, seen_until: datetime) -> Fold:
    """Three vectors of 32 numbers, turned by an angle, and a tower that forgets so quickly."""
    vectors = np.zeros((3, 32), dtype=np.float32)
    angles = np.array([0, 1, 2]) + turn
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    tower = UserTower.configured(CONFIG)
    torch.nn.init.constant_(tower.age_power, age_power)
    return Fold(vectors, tower.state_dict(), seen_until)


FOLDS = {moment: fold_of(0.1 * nth, 0.5 * nth, moment - (at(1) - at(0))) for nth, moment in enumerate(MOMENTS, 1)}
PRETRAINED = fold_of(0.0, 0.0, EVER)


@pytest.fixture(scope="module")
def save(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory):
    """Saves a model without the encoder, whose export is tested elsewhere."""
    encoder = TextEncoder(tiny_encoder, Text(max_tokens=8), CONFIG.finetune)

    def saved(tuned: Finetuned) -> TextModel:
        folder = tmp_path_factory.mktemp("text")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_stage, "export_encoder", lambda *_, **__: {"fp32": {"difference": 0.0}})
            save_text_model(encoder, tuned, CATALOGUE, CONFIG, MOMENTS, folder)
        return TextModel(folder, history_items=40)

    return saved


@pytest.fixture(scope="module")
def model(save) -> TextModel:
    return save(Finetuned(PRETRAINED, dict(FOLDS), [{"step": 0, "loss": None}], BETTER, counts={"items": 3}))


def test_each_moment_is_scored_with_the_vectors_and_the_tower_of_its_own_fold(model):
    # Chosen today and 100 days ago: how much the latter counts tells the towers apart.
    user = user_of({0: 1.0, 2: 1.0})
    user.last_at[1] -= 100 * 86_400
    for moment, fold in FOLDS.items():
        scorer = model.scorer(moment)
        np.testing.assert_array_equal(scorer.vectors, fold.vectors)
        cosine = fold.vectors @ fold.vectors[user.history].T
        ages = (at(0).timestamp() - user.last_at) / 86_400
        weight = (1 + ages / 7) ** -fold.tower["age_power"].item()
        sharp = CONFIG.finetune.temperature
        interest = np.log((weight / weight.sum() * np.exp(sharp * cosine)).sum(axis=1)) / sharp
        found = scorer.score(user, at(0).timestamp())[:, SIGNALS.index("text_interest")]
        np.testing.assert_allclose(found, (1 + interest) / 2, atol=1e-4)


def test_the_fold_of_the_cut_is_what_serves(model):
    np.testing.assert_array_equal(np.load(model.folder / VECTORS_FILE), FOLDS[MOMENTS[-1]].vectors)
    np.testing.assert_array_equal(
        TextNeighbours.load(model.folder).weight, TextNeighbours.of(FOLDS[at(30)].vectors).weight
    )
    assert (model.folder / SCORER_FILE).exists()
    assert (model.folder / GATHER_FILE).exists()


def test_the_graph_for_several_users_is_that_of_what_serves(model):
    served = model.scorer(MOMENTS[-1])
    batch = model.folder / BATCH_SCORER_FILE
    several = InterestScorer(model.folder / SCORER_FILE, served.vectors, history_items=40, batch=batch)
    users = user_of({0: 1.0, 2: 1.0}), user_of({1: 1.0})
    asked = [Question(user, at(0).timestamp(), np.array([0, 1, 2])) for user in users]
    for one, question in zip(several.score_many(asked), asked, strict=True):
        np.testing.assert_allclose(one, served.score(*question), rtol=0, atol=1e-5)


def test_the_pretrained_vectors_are_kept_beside(model):
    np.testing.assert_array_equal(model.pretrained, PRETRAINED.vectors)


def test_a_fold_that_learned_from_what_it_is_to_score_is_refused(save):
    leaking = FOLDS | {at(20): fold_of(0.0, 0.0, at(20))}
    found = save(Finetuned(PRETRAINED, leaking, [], BETTER))
    assert found.scorer(at(10)).signals == found.signals
    with pytest.raises(
        LeakError, match=r"learned from interactions until 2024-01-21 .* is to score rows from 2024-01-21"
    ):
        found.scorer(at(20))


def test_what_made_nothing_better_is_not_used(save):
    found = save(Finetuned(PRETRAINED, dict(FOLDS), [], {name: {"unseen": 0.1} for name in BETTER}))
    assert found.about["uses_pretrained"]
    for moment in MOMENTS:
        np.testing.assert_array_equal(found.scorer(moment).vectors, PRETRAINED.vectors)
    assert found.about["tower"]["purchase"]["age_power"] == 0


def test_signals_are_named_as_the_scorers_name_them(model):
    assert model.signals == signal_names(["purchase"]) == model.scorer(at(10)).signals


def test_what_was_learned_is_told_in_words(model):
    about = json.loads((model.folder / TEXT_FILE).read_text())
    assert about["tower"] == {
        "purchase": {
            "age_power": 1.5,
            "occasions_power": 0.5,
            "type_weight": {"purchase": 1, "view": 1},
            "query_share": pytest.approx(0.75),
        }
    }
    assert (about["curve"], about["validation"]) == ([{"step": 0, "loss": None}], BETTER)
    assert (about["texts"], about["dimension"], about["uses_pretrained"]) == ({"items": 3}, 32, False)
    assert about["encoders"] == {"fp32": {"difference": 0.0}}
    assert about["scorer_difference"] <= 1e-4


def test_the_encoder_is_exported_with_the_texts_of_the_catalogue(tiny_encoder, tmp_path):
    encoder = TextEncoder(tiny_encoder, Text(max_tokens=8), CONFIG.finetune)
    save_text_model(encoder, Finetuned(PRETRAINED), CATALOGUE, CONFIG, MOMENTS[-1:], tmp_path)
    assert (tmp_path / ENCODER_FILE).exists()
    assert (tmp_path / TOKENIZER_FILE).exists()
    # Without a case to measure on nobody knows whether the smaller files rank as well.
    assert not TextModel(tmp_path, 40).about["encoders"]["int8"]["kept"]
