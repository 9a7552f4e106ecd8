import msgspec
import pytest

from recsys.config import Config, Ranker
from recsys.errors import DataError
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from training import tune_ranker as module
from training.pipeline import Pipeline
from training.ranker import Probe
from training.ranker_rows import RankerRows
from training.ranker_settings import rows_in_leaf
from training.tune import Found, Trial, search
from training.tune_ranker import SEARCHED, TunedRanker


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, evaluated: Evaluated) -> Workspace:
    return copy_of(evaluated, tmp_path_factory.mktemp("tuned"))


def tuned_of(workspace: Workspace, **ranker: float | None) -> tuple[Pipeline, TunedRanker]:
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    config = workspace.config
    pipeline.config = msgspec.structs.replace(config, ranker=msgspec.structs.replace(config.ranker, **ranker))
    return pipeline, TunedRanker(pipeline)


@pytest.fixture(scope="module")
def usual(workspace: Workspace) -> Found:
    return search(*tuned_of(workspace), trials=2)


def test_the_first_trial_has_the_settings_of_recsys_toml_and_a_further_one_others(usual, workspace):
    config = workspace.config.ranker
    one, other = (trial.settings for trial in usual.trials)
    rows = sum(len(part.gains) for part in tuned_of(workspace)[0].ranker_parts(with_text=True)[:-1])
    expected = {name: getattr(config, name) for name in SEARCHED.keys} | {"rows_in_leaf": rows_in_leaf(config, rows)}
    assert one == expected
    assert all(other[name] != expected[name] for name in ("learning_rate", "feature_share", "l2"))


def test_a_trial_counts_by_what_the_trees_of_its_settings_reach_on_the_latest_window(usual, workspace):
    pipeline, _ = tuned_of(workspace)
    *earlier, latest = pipeline.ranker_parts(with_text=True)
    for trial in usual.trials:
        settings = msgspec.structs.replace(pipeline.config.ranker, **trial.settings)
        features = pipeline.features.names(pipeline.text.signals)
        assert module.probe(RankerRows.joined(earlier), latest, features, settings).ndcg == trial.reached


def test_a_search_that_was_stopped_goes_on(usual, workspace, monkeypatch):
    asked = []

    def probed(*values: object) -> Probe:
        asked.append(values)
        return Probe(1, 0.0)

    monkeypatch.setattr(module, "probe", probed)
    found = search(*tuned_of(workspace), trials=3)
    assert found.trials[:2] == usual.trials
    assert [trial.reached for trial in found.trials[2:]] == [0.0]
    assert len(asked) == 1


def test_another_search_is_begun_for_other_settings_but_not_for_other_values_of_what_is_searched(workspace):
    _, tuned = tuned_of(workspace)
    assert tuned_of(workspace, leaves=3, rows_in_leaf=7)[1].key == tuned.key
    assert tuned_of(workspace, seed=1)[1].key != tuned.key
    assert tuned_of(workspace, windows=2)[1].key != tuned.key


def test_a_leaf_penalty_of_zero_can_be_searched_from(workspace):
    assert tuned_of(workspace, l2=0.0)[1].first()["l2"] == module.LEAST_L2


def test_with_one_window_the_message_says_what_to_change(workspace):
    pipeline, tuned = tuned_of(workspace, windows=1)
    with pytest.raises(DataError, match=r"ranker: 1 of 1 windows before 2024-04-15 have .* set ranker.window_days"):
        search(pipeline, tuned, trials=1)


def test_the_section_can_be_pasted():
    config = Ranker(monotone={"item_price": "decreasing"}, debias_positions=False)
    found = Found("shop", SEARCHED, config, [Trial(1, {"leaves": 31, "l2": 1.23456}, 0.4, False)])
    assert found.section.splitlines() == [
        "[ranker]",
        "leaves = 31",
        "l2 = 1.235",
        "debias_positions = false",
        'monotone = { item_price = "decreasing" }',
    ]
    text = 'name = "shop"\n[source]\ninteractions = "a"\n[interaction_types]\nbuy = { label = true }\n' + found.section
    assert msgspec.toml.decode(text, type=Config).ranker.monotone == config.monotone
