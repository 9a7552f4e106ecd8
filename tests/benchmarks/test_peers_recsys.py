import json

import numpy as np
import polars as pl
import pytest

from benchmarks import peers_recsys
from benchmarks.peers_split import TASKS, write_split
from recsys.metrics import per_user_metrics
from tests.training.project import shop_project
from training.evaluate import cases_of, measure
from training.pipeline import Pipeline


def test_ours_is_asked_and_measured_as_an_evaluation_does_it(tmp_path, tiny_encoder):
    workspace = shop_project(tmp_path, tiny_encoder)
    asked = write_split(workspace, tmp_path / "split")
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    cost = peers_recsys.fit(pipeline, tmp_path / "split", tmp_path / "ours")
    evaluated = measure(pipeline)["models"]["recsys"]
    cases = cases_of(pipeline.window(pipeline.cut, None), pipeline.hidden)
    for task in TASKS:
        assert asked[task].relevant == [case.relevant for case in cases[task]]
        ranked = np.load(tmp_path / "ours" / f"ranked_{task}.npy")
        measured = {metric: values.mean() for metric, values in per_user_metrics(ranked, asked[task].relevant).items()}
        assert measured == pytest.approx({metric: evaluated[task][metric] for metric in measured})
        assert cost["tasks"][task]["ms_per_user"] > 0

    # Trained before: how long the features took then is in the report.
    (tmp_path / "report.json").write_text(json.dumps({"seconds": {"features": 1000.0}, "peak_memory_mb": 1e6}))
    again = peers_recsys.fit(Pipeline(workspace, cut=pipeline.cut), tmp_path / "split", tmp_path / "ours")
    assert again["peak_mb"] == 1e6
    assert 1000 <= again["tasks"]["all"]["fit_seconds"] <= 1000 + cost["tasks"]["all"]["fit_seconds"]


def test_peers_are_shown_nothing_from_the_cut_on(tmp_path, tiny_encoder):
    workspace = shop_project(tmp_path, tiny_encoder)
    write_split(workspace, tmp_path / "split")
    cut = workspace.config.split.test_start.timestamp()
    assert pl.read_parquet(tmp_path / "split" / "interactions.parquet")["seconds"].max() < cut
    assert pl.read_parquet(tmp_path / "split" / "users_all.parquet").columns == ["user", "user_id"]
