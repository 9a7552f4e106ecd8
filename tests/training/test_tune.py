import json
from pathlib import Path

import msgspec
import pytest

from recsys.config import Config, Finetune
from recsys.errors import DataError
from recsys.workspace import Workspace
from tests.training.project import shop_project
from training import tune as module
from training import tune_finetune
from training.pipeline import Pipeline
from training.tune import Found, Trial, search
from training.tune_finetune import SEARCHED, TunedFinetune


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Workspace:
    return shop_project(tmp_path_factory.mktemp("shop"), tiny_encoder)


@pytest.fixture(scope="module")
def usual(workspace: Workspace) -> Found:
    return search_of(pipeline_of(workspace), trials=3)


def pipeline_of(workspace: Workspace, **finetune: int) -> Pipeline:
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    config = workspace.config
    pipeline.config = msgspec.structs.replace(config, finetune=msgspec.structs.replace(config.finetune, **finetune))
    return pipeline


def search_of(pipeline: Pipeline, **options: float) -> Found:
    return search(pipeline, TunedFinetune(pipeline), **options)


def test_the_first_trial_has_the_settings_of_recsys_toml_and_each_further_one_others(usual, workspace):
    assert [trial.number for trial in usual.trials] == [1, 2, 3]
    configured = workspace.config.finetune
    assert usual.trials[0].settings == {name: getattr(configured, name) for name in SEARCHED.keys}
    assert len({json.dumps(trial.settings, sort_keys=True) for trial in usual.trials}) == 3
    assert all(trial.settings["trained_layers"] in (1, 2) for trial in usual.trials)  # the encoder has two


def test_a_trial_counts_by_its_best_ratio_to_the_pretrained_model(usual):
    assert all(trial.reached > 0 for trial in usual.trials)
    assert len({trial.reached for trial in usual.trials}) == 3
    assert usual.best.reached == max(trial.reached for trial in usual.trials)


def test_a_search_that_was_killed_goes_on_and_finds_the_same_as_one_that_was_not(
    usual, tmp_path, tiny_encoder, monkeypatch
):
    workspace = shop_project(tmp_path, tiny_encoder)
    gain, learned = tune_finetune.relative_gain, []

    def killed(*values):
        learned.append(values)
        if len(learned) == 2:  # in the second trial
            raise KeyboardInterrupt
        return gain(*values)

    monkeypatch.setattr(tune_finetune, "relative_gain", killed)
    with pytest.raises(KeyboardInterrupt):
        search_of(pipeline_of(workspace), trials=3)
    assert search_of(pipeline_of(workspace), trials=3) == usual
    assert len(learned) == 4  # the trial that was killed, and only that one, twice


def test_a_search_that_has_its_trials_learns_nothing_more(usual, workspace, monkeypatch):
    monkeypatch.setattr(tune_finetune, "finetune", None)
    assert search_of(pipeline_of(workspace), trials=2) == usual


def test_no_trial_begins_after_the_time_is_over_but_there_is_always_one(usual, tmp_path, tiny_encoder):
    found = search_of(pipeline_of(shop_project(tmp_path, tiny_encoder)), trials=3, timeout_minutes=0)
    assert found.trials == usual.trials[:1]


def test_another_search_is_begun_for_other_data_or_settings_but_not_for_other_values_of_what_is_searched(workspace):
    def key_of(pipeline: Pipeline) -> str:
        return TunedFinetune(pipeline).key

    key = key_of(pipeline_of(workspace))
    assert key_of(pipeline_of(workspace, learning_rate=1.0, history_items=3)) == key
    assert key_of(pipeline_of(workspace, seed=1)) != key
    assert key_of(Pipeline(workspace, cut=None)) != key


def test_a_trial_that_is_worse_than_half_of_the_others_is_ended(tmp_path, tiny_encoder, monkeypatch):
    monkeypatch.setattr(module, "RANDOM_TRIALS", 1)
    monkeypatch.setattr(tune_finetune, "relative_gain", lambda *_: next(gains))
    gains = iter([1.2, 1.1, 1.3])
    found = search_of(pipeline_of(shop_project(tmp_path, tiny_encoder)), trials=3)
    assert [(trial.reached, trial.ended) for trial in found.trials] == [(1.2, False), (1.1, True), (1.3, False)]


def test_with_nothing_to_learn_the_message_says_what_to_change(workspace):
    with pytest.raises(DataError, match=r"interactions: too little before 2024-04-15 to learn from.*max_steps above 0"):
        search_of(pipeline_of(workspace, max_steps=0), trials=1)


def test_the_section_can_be_pasted_and_has_every_key_that_is_not_the_default():
    trials = [
        Trial(1, {"learning_rate": 4e-4, "history_items": 30}, 1.1, False),
        Trial(2, {"learning_rate": 0.00123456, "history_items": 12}, 1.2, True),
    ]
    found = Found("shop", SEARCHED, Finetune(method="lora", max_steps=10), trials)
    assert found.section.splitlines() == [
        "[finetune]",
        'method = "lora"',
        "max_steps = 10",
        "learning_rate = 0.001235",
        "history_items = 12",
    ]
    text = 'name = "shop"\n[source]\ninteractions = "a"\n[interaction_types]\nbuy = { label = true }\n' + found.section
    assert msgspec.toml.decode(text, type=Config).finetune.method == "lora"
