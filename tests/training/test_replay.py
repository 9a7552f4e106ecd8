from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.errors import DataError
from recsys.exposure import Exposure
from recsys.schema import columns_of
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from tests.training.project import FEATURES, items_state
from training import replay as module
from training.pipeline import Pipeline
from training.replay import click_through, replay

CUT = datetime(2024, 4, 15, tzinfo=UTC)
ITEMS = ["gar-00", "kit-00", "off-00", "bat-00"]


def impression(request: str, user: str, hours: float, items: list[str] = ITEMS, query: str | None = None):
    when = CUT + timedelta(hours=hours)
    return {"request_id": request, "user_id": user, "timestamp": when, "items": items, "query": query}


def click(request: str, user: str, item: str, hours: float):
    when = CUT + timedelta(hours=hours)
    row = {"user_id": user, "item_id": item, "event_type": "purchase", "timestamp": when, "request_id": request}
    return row | {"event_id": f"{request}-{item}"}


IMPRESSIONS = [
    impression("r1", "user-00", 1),
    impression("r2", "stranger", 2, [*ITEMS, "unknown"]),
    impression("none", "user-01", 3),
    impression("all", "user-01", 4, ITEMS[:2]),
    impression("asked", "user-01", 5, query="red towel"),
    impression("before", "user-00", -1),
]
CLICKS = [
    click("r1", "user-00", "off-00", 1.1),
    click("r2", "stranger", "gar-00", 2.1),
    click("all", "user-01", "gar-00", 4.1),
    click("all", "user-01", "kit-00", 4.1),
    click("asked", "user-01", "kit-00", 5.1),
    click("before", "user-00", "kit-00", -0.9),
]


def with_impressions(root: Path, evaluated: Evaluated, clicks: list[dict[str, Any]] = CLICKS) -> Workspace:
    workspace = copy_of(evaluated, root)
    pl.DataFrame(IMPRESSIONS, schema_overrides=columns_of("impressions")).write_parquet(
        workspace.table_path("impressions")
    )
    table = workspace.table_path("interactions")
    more = pl.DataFrame(clicks, schema_overrides=columns_of("interactions"))
    pl.concat([pl.read_parquet(table), more], how="diagonal").sort("timestamp").write_parquet(table)
    return workspace


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, evaluated: Evaluated) -> Pipeline:
    return Pipeline(with_impressions(tmp_path_factory.mktemp("replayed"), evaluated), cut=CUT)


@pytest.fixture(scope="module")
def report(pipeline: Pipeline) -> dict[str, Any]:
    return replay(pipeline, bundle="none yet")


def test_only_impressions_after_the_cut_of_which_part_was_chosen_are_measured_and_the_others_counted(report):
    assert report["impressions"] == {"all": 5, "measured": 2, "asked": 1, "none_chosen": 1, "all_chosen": 1}
    assert report["items"] == {"shown": 8, "chosen": 2}
    assert report["users"] == {"all": 2, "without_history": 1}
    assert all(model["requests"] == 2 for model in report["models"].values())


def test_the_order_that_was_shown_is_a_model_beside_ours_and_chance(report):
    assert list(report["models"]) == [
        *("random", "shown_order", "popularity", "ctr", "text_model", "recsys_no_text", "recsys")
    ]
    # What was chosen stood third of four, and first of four.
    shown = report["models"]["shown_order"]
    assert shown["request_auc"] == pytest.approx((1 / 3 + 1) / 2)
    assert shown["mrr@10"] == pytest.approx((1 / 3 + 1) / 2)
    assert shown["hit_rate@1"] == 0.5
    assert shown["ndcg@10"] == pytest.approx((1 / np.log2(4) + 1) / 2)
    assert shown["ndcg@10_ci"] == pytest.approx([1 / np.log2(4), 1])


def test_what_was_measured_before_is_not_measured_again(report, pipeline, monkeypatch):
    monkeypatch.setattr(module, "measure", None)
    again = replay(Pipeline(pipeline.workspace, cut=CUT), bundle="none yet")
    assert again["models"] == report["models"]


def test_ours_scores_what_was_shown_as_a_request_to_rank_it_does(pipeline, monkeypatch):
    monkeypatch.setattr(module, "LISTS_AT_ONCE", 1)
    lists = [one for one in pipeline.shown_lists(CUT, None) if one.has_order and not one.asked]
    items = pipeline.store.items_at(pipeline.catalogue, CUT)
    scores, strangers = module._scores(pipeline, items, lists)
    assert strangers == {"stranger"}
    for with_text, name in ((True, "recsys"), (False, "recsys_no_text")):
        recommender = pipeline.recommender(items, pipeline.text.scorer(CUT) if with_text else None)
        [user] = pipeline.store.users_at(["user-00"], pipeline.catalogue, CUT)
        matrix = recommender.assemble(user, lists[0].items, recommender.signals(user, lists[0].items))
        expected = pipeline.ranker(with_text=with_text).predict(matrix)
        np.testing.assert_allclose(scores[name][:4], expected, rtol=1e-12)


def test_without_the_table_the_message_says_where_it_is_named(evaluated):
    with pytest.raises(DataError, match=r"impressions: the table is missing.*name the file under impressions"):
        replay(evaluated.pipeline_again(), bundle="none yet")


def test_where_nothing_can_be_measured_the_message_says_why(tmp_path, evaluated):
    workspace = with_impressions(tmp_path, evaluated, [one for one in CLICKS if one["request_id"] in ("all", "before")])
    # user-00, user-01 and the others chose nothing of these lists within a day without naming them.
    table = workspace.table_path("interactions")
    rows = pl.read_parquet(table)
    rows.filter(pl.col("request_id").is_not_null() | (pl.col("timestamp") < CUT)).write_parquet(table)
    with pytest.raises(
        DataError,
        match=r"none of the 5 from 2024-04-15.* 5 show items.* of 3 nothing was chosen, of 1 everything, and 1",
    ):
        replay(Pipeline(workspace, cut=CUT), bundle="none yet")


def test_click_through_is_choices_by_impression_drawn_to_the_mean_of_all_items():
    columns = FEATURES.exposure_columns
    counts = np.zeros((3, len(columns)))
    counts[:, columns.index("shown_28d")] = [50, 150, 0]
    counts[:, columns.index(module.windowed(module.chosen_of("purchase"), module.CHOSEN_DAYS))] = [20, 0, 0]
    items = items_state(3)
    shown = items.__class__(**{**vars(items), "exposure": Exposure.of(columns, counts)})
    # 20 of 200 in all: a tenth. (20 + 50 / 10) / 100, (0 + 5) / 200, 5 / 50.
    assert click_through(shown, ["purchase"]).tolist() == pytest.approx([0.25, 0.025, 0.1])
    assert click_through(items, ["purchase"]).tolist() == [0, 0, 0]
