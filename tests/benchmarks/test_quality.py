from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from benchmarks import quality
from tests.training.project import config_of, shop_project
from training.pipeline import Pipeline

MEANS = {
    "text_model cold": 0.15,
    "zero_shot_text cold": 0.12,
    "popularity new": 0.05,
    "text + log popularity new": 0.1,
    "recsys new": 0.11,
    "recsys_no_text new": 0.1,
    "recsys all": 0.4,
}


def test_the_claims_are_ratios_of_the_means_and_stand_beside_their_targets():
    assert quality.claims_of("online_retail", MEANS) == {
        "text_cold_ndcg10": {"measured": 0.15, "target": 0.1331, "unit": "ndcg@10"},
        "text_cold_vs_zero_shot": {"measured": pytest.approx(1.25), "target": 1.1, "unit": "ratio"},
        "text_popularity_new_ndcg10": {"measured": 0.1, "target": 0.095, "unit": "ndcg@10"},
        "recsys_new_vs_no_text": {"measured": pytest.approx(1.1), "target": 1.08, "unit": "ratio"},
        "recsys_all_ndcg10": {"measured": MEANS["recsys all"], "target": 0.39, "unit": "ndcg@10"},
    }
    direction = quality.claims_of("complete_journey", MEANS)
    assert direction["text_popularity_new_vs_popularity"] == {"measured": 2.0, "target": 1.0, "unit": "ratio"}


def test_a_seed_reaches_the_text_model_and_the_ranker_and_changes_nothing_else():
    config = config_of()
    seeded = quality.configured(config, 7, quick=False)
    assert (seeded.finetune.seed, seeded.ranker.seed) == (7, 7)
    assert quality.configured(seeded, 0, quick=False) == config


def test_a_quick_project_holds_one_user_in_ten(tmp_path, monkeypatch):
    rows = [(f"{user:02d}", "a", "purchase", datetime(2017, 5, 1, tzinfo=UTC)) for user in range(1, 41)]

    def tiny(folder: Path) -> None:
        pl.DataFrame({"item_id": ["a"], "title": ["A"]}).write_parquet(folder / "items.parquet")
        columns = ["user_id", "item_id", "event_type", "timestamp"]
        pl.DataFrame(rows, columns, orient="row").write_parquet(folder / "interactions.parquet")
        source = Path(quality.complete_journey.__file__).with_name("recsys.toml")
        (folder / "recsys.toml").write_text(source.read_text())

    monkeypatch.setattr(quality.complete_journey, "main", tiny)
    for quick, users in ((True, ["10", "20", "30", "40"]), (False, [row[0] for row in rows])):
        workspace = quality.project("complete_journey", tmp_path / str(quick), quick=quick)
        again = quality.project("complete_journey", tmp_path / str(quick), quick=quick)
        assert again.read_table("interactions").equals(workspace.read_table("interactions"))
        assert sorted(workspace.read_table("interactions")["user_id"]) == users


def test_every_row_is_measured_on_a_small_shop(tmp_path, tiny_encoder):
    workspace = shop_project(tmp_path, tiny_encoder)
    rows = quality.rows_of(Pipeline(workspace, cut=workspace.config.split.test_start))
    assert rows.keys() == {*quality.ROWS, quality.TEXT_POPULARITY}
    assert all(0 < value <= 1 for value in rows.values()), rows
