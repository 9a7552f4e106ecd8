import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.errors import DataError, LeakError
from recsys.metrics import METRICS
from recsys.retrieval import CHANNELS
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from tests.training.project import at, items_state, user_of
from training import baselines
from training import evaluate as module
from training.evaluate import cases_of, evaluate, measure
from training.pipeline import Pipeline
from training.report import validate_report
from training.windows import Window

HIDDEN = np.array([False, False, False, True, True, True])


def window_of(history: dict[int, float], *chosen: int) -> Window:
    return Window(at(0), items_state(6), ["u"], [user_of(history)], [dict.fromkeys(chosen, 1.0)])


def test_the_task_all_counts_and_ranks_every_item():
    (case,) = cases_of(window_of({0: 1.0, 3: 1.0}, 0, 2, 4), HIDDEN)["all"]
    assert case.relevant == {0, 2, 4}
    assert not case.exclude.any()
    assert case.user.history.tolist() == [0, 3]


def test_the_task_new_neither_ranks_nor_counts_what_the_user_had():
    (case,) = cases_of(window_of({0: 1.0, 3: 1.0}, 0, 2, 3, 4), HIDDEN)["new"]
    assert case.relevant == {2, 4}
    assert np.flatnonzero(case.exclude).tolist() == [0, 3]
    assert case.user.history.tolist() == [0, 3]


def test_the_task_cold_ranks_hidden_items_that_are_new_for_a_history_that_never_held_one():
    (case,) = cases_of(window_of({0: 1.0, 3: 1.0}, 2, 3, 4), HIDDEN)["cold"]
    assert case.relevant == {4}
    assert np.flatnonzero(~case.exclude).tolist() == [4, 5]
    assert case.user.history.tolist() == [0]


@pytest.mark.parametrize(
    ("chosen", "tasks"),
    [((0,), ["all"]), ((3,), ["all"]), ((2,), ["all", "new"]), ((4,), ["all", "new", "cold"]), ((0, 3), ["all"])],
)
def test_a_user_with_nothing_to_find_is_left_out_of_the_task(chosen, tasks):
    found = cases_of(window_of({0: 1.0, 3: 1.0}, *chosen), HIDDEN)
    assert [task for task, cases in found.items() if cases] == tasks


def test_the_report_has_every_model_on_the_tasks_that_it_can_do(evaluated: Evaluated):
    validate_report(evaluated.report)
    done = {name: [task for task, found in row.items() if found] for name, row in evaluated.report["models"].items()}
    assert {name: sorted(tasks) for name, tasks in done.items()} == {
        "popularity": ["all", "new"],
        "personal_frequency": ["all"],
        "ease": ["all", "new"],
        "zero_shot_text": ["all", "cold", "new"],
        "text_model": ["all", "cold", "new"],
        "text_and_popularity": ["all", "new"],
        "recsys_no_text": ["all", "new"],
        "recsys": ["all", "new"],
    }


def test_the_report_counts_the_users_of_each_task(evaluated: Evaluated):
    pipeline = evaluated.pipeline
    tasks = cases_of(pipeline.window(pipeline.cut, None), pipeline.hidden)
    assert evaluated.report["users"] == {task: len(cases) for task, cases in tasks.items()}
    assert evaluated.report["users"]["all"] > 50


def test_whoever_knows_the_users_beats_popularity(evaluated: Evaluated):
    ndcg = {name: row["all"]["ndcg@10"] for name, row in evaluated.report["models"].items()}
    assert min(ndcg["recsys"], ndcg["recsys_no_text"], ndcg["personal_frequency"]) > 1.5 * ndcg["popularity"]


def test_channels_are_the_shares_of_the_relevant_items_that_each_brought_and_brought_alone(evaluated: Evaluated):
    pipeline, text = evaluated.pipeline, evaluated.pipeline.text
    window = pipeline.window(pipeline.cut, None)
    recommender = pipeline.recommender(window.items, text.scorer(pipeline.cut))
    expected = {name: {"recall": 0.0, "alone": 0.0} for name in CHANNELS}
    cases = cases_of(window, pipeline.hidden)["all"]
    for case in cases:
        found = recommender.prepare(case.user, case.exclude, recommender.signals(case.user)).candidates
        for row, item in enumerate(found.positions.tolist()):
            if item in case.relevant:
                for name in found.provenance(row):
                    expected[name]["recall"] += 1 / len(case.relevant) / len(cases)
                    if len(found.provenance(row)) == 1:
                        expected[name]["alone"] += 1 / len(case.relevant) / len(cases)
    for name, shares in expected.items():
        assert evaluated.report["channels"][name] == pytest.approx(shares)
    assert evaluated.report["channels"]["popular"]["recall"] > 0.5


def test_the_channels_add_up_to_the_recall_of_the_candidates(evaluated: Evaluated):
    steps = evaluated.report["waterfall"]
    assert [step["channel"] for step in steps] == list(CHANNELS)
    # What only one channel brought is at least added by it; the first adds all that it has.
    assert all(step["adds"] >= evaluated.report["channels"][step["channel"]]["alone"] - 1e-12 for step in steps)
    assert steps[0]["adds"] == pytest.approx(evaluated.report["channels"][steps[0]["channel"]]["recall"])


def test_of_the_candidates_with_the_highest_scores_the_most_were_chosen(evaluated: Evaluated):
    rates = [one["rate"] for one in evaluated.report["calibration"]]
    assert rates[0] > 3 * rates[-1]


def test_the_slices_by_history_are_all_users_of_the_task_and_newcomers_are_none_of_them(evaluated: Evaluated):
    for task in ("all", "new"):
        parts = [part for part in evaluated.report["slices"][task] if part["by"] == "history"]
        known = [part for part in parts if part["name"] != "new users"]
        assert sum(part["users"] for part in known) == evaluated.report["users"][task]
        sums = sum(part["users"] * part["models"]["recsys"]["ndcg@10"] for part in known)
        assert sums / evaluated.report["users"][task] == pytest.approx(
            evaluated.report["models"]["recsys"][task]["ndcg@10"]
        )


def test_the_curves_pass_through_the_metrics_of_the_report(evaluated: Evaluated):
    by_k = evaluated.report["by_k"]
    for model, tasks in evaluated.report["models"].items():
        for task, found in tasks.items():
            curves = by_k["models"][model][task]
            assert (curves is None) == (found is None)
            for metric, k in (("recall", 20), ("ndcg", 10)) if found else ():
                assert curves[metric][by_k["k"].index(k)] == pytest.approx(found[f"{metric}@{k}"])


def test_the_values_of_each_user_are_kept_and_their_means_are_the_report(evaluated: Evaluated):
    users = pl.read_parquet(module.users_file(evaluated.pipeline))
    assert not users.select("task", "model", "user_id").is_duplicated().any()
    for (task, model), own in users.group_by("task", "model"):
        assert len(own) == evaluated.report["users"][task]
        for metric in (*METRICS, "novelty@10", "diversity@10"):
            assert own[metric].mean() == pytest.approx(evaluated.report["models"][model][task][metric])


def test_other_cutoffs_are_measured_anew_and_nothing_is_trained(evaluated: Evaluated, tmp_path: Path, monkeypatch):
    copy_of(evaluated, tmp_path)
    with (tmp_path / "recsys.toml").open("a") as file:
        file.write("\n[evaluation]\nrecall_at = [3]\nndcg_at = [5]\nmap_at = []\n")
    monkeypatch.setattr("training.pipeline.finetune", must_not_run)
    monkeypatch.setattr("training.pipeline.train_ranker", must_not_run)
    report = evaluate(Pipeline(Workspace.open(tmp_path / "recsys.toml"), cut=evaluated.pipeline.cut), bundle="b")
    validate_report(report)
    assert {"recall@3", "ndcg@5", "mrr@10"} <= set(report["models"]["recsys"]["all"])
    assert not {"recall@10", "ndcg@10", "map@10"} & set(report["models"]["recsys"]["all"])


def must_not_run(*args: object, **options: object) -> None:
    raise AssertionError("trained again")


def test_the_report_has_the_recall_of_the_candidates_of_both_tasks(evaluated: Evaluated):
    report = evaluated.report
    assert report["channels"] == report["candidates"]["all"]["channels"]
    for task in ("all", "new"):
        found = report["candidates"][task]
        assert found["candidates"] == 40
        # Every item is a candidate when there may be 300 of them: there are 60, and the text knows each.
        assert found["recall@300"] == pytest.approx(1)
        assert found["recall"] >= report["models"]["recsys"][task]["recall@20"]
        assert list(found["channels"]) == list(CHANNELS)
    # What was had before is no candidate of the task `new`.
    assert report["candidates"]["new"]["channels"]["repeat"]["recall"] == 0 < report["channels"]["repeat"]["recall"]


def test_importance_names_the_features_of_the_ranker_the_weightiest_first(evaluated: Evaluated):
    gains = list(evaluated.report["importance"].values())
    assert gains == sorted(gains, reverse=True)
    booster = evaluated.pipeline.trees(with_text=True)
    assert set(evaluated.report["importance"]) == set(booster.feature_name())
    assert evaluated.report["ranker"] == {"trees": booster.num_trees(), "network": False}


def test_a_text_model_that_learned_from_what_is_measured_is_refused(evaluated: Evaluated, monkeypatch):
    cut = evaluated.pipeline.cut
    fold = evaluated.pipeline.text.about["folds"][cut.isoformat()]
    monkeypatch.setitem(fold, "seen_until", cut.isoformat())
    with pytest.raises(LeakError, match=re.escape(f"until {cut} and is to score rows from {cut} on")):
        measure(evaluated.pipeline)


def test_a_catalogue_too_large_for_ease_is_measured_without_it(evaluated: Evaluated, monkeypatch):
    monkeypatch.setattr(baselines, "EASE_MAX_ITEMS", 59)
    models = measure(evaluated.pipeline)["models"]
    assert "ease" not in models
    assert models["popularity"] == evaluated.report["models"]["popularity"]


def test_when_nobody_with_a_past_chose_anything_later_the_error_says_so(evaluated: Evaluated, monkeypatch):
    pipeline = evaluated.pipeline_again()
    empty = Window(pipeline.cut, items_state(60), [], [], [])
    monkeypatch.setattr(pipeline, "window", lambda start, end: empty)
    with pytest.raises(DataError, match=r"no user with a past before 2024-04-15 .* set split.test_start or"):
        measure(pipeline)


def test_memory_is_measured_in_mebibytes():
    assert 50 < module.peak_memory_mb() < 100_000
