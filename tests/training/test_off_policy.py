import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from recsys.errors import DataError
from recsys.schema import columns_of
from tests.training.conftest import Evaluated, copy_of
from training import off_policy as module
from training.commands import evaluate as command
from training.off_policy import (
    impressions_to_judge,
    measure_off_policy,
    print_off_policy,
    scores_of_shown,
    shown_rows,
    with_rewards,
    write_off_policy,
)
from training.pipeline import Pipeline

LISTS = 300


@pytest.fixture
def pipeline(evaluated: Evaluated, tmp_path: Path) -> Pipeline:
    """The shop with lists of four items in random order after the cut, each second one answered at its top."""
    # Its snapshots know what was shown: they must not take the place of those of the shop.
    found, random = Pipeline(copy_of(evaluated, tmp_path), cut=evaluated.pipeline.cut), np.random.default_rng(0)
    users = found.interactions["user_id"].unique().sort()
    lists = [random.permutation(found.catalogue.item_ids)[:4].tolist() for _ in range(LISTS)]
    found.impressions = pl.DataFrame(
        {
            "request_id": [f"r{nth}" for nth in range(LISTS)],
            "user_id": [users[nth % len(users)] for nth in range(LISTS)],
            "timestamp": [found.cut + timedelta(minutes=nth) for nth in range(LISTS)],
            "items": lists,
            "propensities": [[0.25] * 4] * LISTS,
            "query": [None] * LISTS,
        },
        schema_overrides=columns_of("impressions"),
    )
    answers = found.impressions[::2].select(
        "request_id", "user_id", "timestamp", item_id=pl.col("items").list.first(), event_type=pl.lit("purchase")
    )
    found.interactions = pl.concat([found.interactions, answers], how="diagonal_relaxed")
    return found


def test_rows_are_the_shown_items_in_their_order():
    impressions = pl.DataFrame(
        {
            "request_id": ["q", "r"],
            "user_id": ["u", "v"],
            "items": [["a", "b"], ["c"]],
            "propensities": [[0.5, 0.2], [1.0]],
        }
    )
    assert shown_rows(impressions).rows() == [
        ("q", "u", "a", 0.5, 1),
        ("q", "u", "b", 0.2, 2),
        ("r", "v", "c", 1.0, 1),
    ]


def test_what_an_interaction_names_is_rewarded_once():
    rows = pl.DataFrame({"request_id": ["q", "q", "r"], "item_id": ["a", "b", "a"]})
    chosen = pl.DataFrame({"request_id": ["q", "q", None, "r"], "item_id": ["a", "a", "b", "z"]})
    assert with_rewards(rows, chosen)["reward"].to_list() == [1.0, 0.0, 0.0]


def test_only_impressions_from_the_cut_on_with_propensities_and_without_a_query_are_judged(pipeline: Pipeline):
    logged = pipeline.impressions
    assert logged is not None
    early = logged.head(1).with_columns(pl.col("timestamp") - timedelta(hours=1))
    bare = logged[1:3].with_columns(propensities=pl.lit(None, pl.List(pl.Float64)))
    asked = logged[3:4].with_columns(query=pl.lit("gloves"))
    pipeline.impressions = pl.concat([early, bare, asked, logged[4:]])
    judged, left_out = impressions_to_judge(pipeline)
    assert (judged["request_id"][0], len(judged), left_out) == ("r4", LISTS - 4, 2)


def test_without_impressions_or_propensities_the_error_says_what_to_log(pipeline: Pipeline):
    assert pipeline.impressions is not None
    pipeline.impressions = pipeline.impressions.with_columns(propensities=pl.lit(None, pl.List(pl.Float64)))
    with pytest.raises(
        DataError, match=f"{LISTS} impressions without a query from .*, none with propensities; expected the"
    ):
        impressions_to_judge(pipeline)
    pipeline.impressions = None
    with pytest.raises(DataError, match="has no impressions; log what is shown"):
        impressions_to_judge(pipeline)


def test_of_many_impressions_the_same_ones_are_drawn_each_time(pipeline: Pipeline, monkeypatch):
    monkeypatch.setattr(module, "MOST_IMPRESSIONS", 50)
    judged, _ = impressions_to_judge(pipeline)
    assert len(judged) == 50
    assert judged.equals(impressions_to_judge(pipeline)[0])
    assert judged["timestamp"].is_sorted()


def test_scores_are_those_of_the_ranker_for_each_list_and_unknown_items_have_none(pipeline: Pipeline, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 10)
    logged = pipeline.impressions
    assert logged is not None
    some = logged.head(7).with_columns(
        items=pl.when(pl.col("request_id") == "r2").then(pl.lit(["unknown", "gar-00"])).otherwise("items")
    )
    found = np.split(scores_of_shown(pipeline, some), np.cumsum(some["items"].list.len().to_numpy())[:-1])
    cut, catalogue = pipeline.cut, pipeline.catalogue
    recommender = pipeline.recommender(pipeline.store.items_at(catalogue, cut), pipeline.text.scorer(cut))
    for user, items, scores in zip(some["user_id"], some["items"].to_list(), found, strict=True):
        [state] = pipeline.store.users_at([user], catalogue, cut)
        positions = np.array([catalogue.index[item] for item in items if item != "unknown"])
        matrix = recommender.assemble(state, positions, recommender.signals(state, positions))
        expected = pipeline.ranker(with_text=True).predict(matrix)
        assert scores[-len(positions) :] == pytest.approx(expected)
        assert np.isnan(scores[: -len(positions)]).all()


def test_lists_in_random_order_say_what_our_order_would_have_earned(pipeline: Pipeline, capsys, tmp_path):
    found = measure_off_policy(pipeline)
    assert (found["impressions"], found["without_propensities"], list(found["labels"])) == (LISTS, 0, ["purchase"])
    purchase = found["labels"]["purchase"]
    assert purchase["logged"]["value"] == pytest.approx(0.5)
    # Only what stood first was bought, and our order puts an item there once in four times, so it earns as much.
    assert purchase["ips"]["low"] < 0.5 < purchase["ips"]["high"]
    assert purchase["dr"]["low"] < 0.5 < purchase["dr"]["high"]
    assert purchase["diagnostics"]["largest_weight"] == 4
    print_off_policy(found)
    said = capsys.readouterr().out
    assert "ours, SNIPS" in said
    assert "purchase: 300 impressions, worth" in said
    assert "cannot be" not in said
    assert json.loads(write_off_policy(found, tmp_path).read_bytes()) == found


def test_propensities_of_a_pool_that_is_larger_than_the_lists_are_told(pipeline: Pipeline, capsys):
    assert pipeline.impressions is not None
    # As when eight items had been given four places: each order of the four shown is twice as probable as that says.
    pipeline.impressions = pipeline.impressions.with_columns(propensities=pl.lit([0.125] * 4))
    print_off_policy(measure_off_policy(pipeline))
    assert "more than all of our choices supported cannot be" in capsys.readouterr().out


def test_a_label_that_answers_no_impression_is_left_out_with_a_word(pipeline: Pipeline, evaluated: Evaluated, capsys):
    pipeline.interactions = evaluated.pipeline.interactions
    assert measure_off_policy(pipeline)["labels"] == {}
    assert "no purchase names the request_id of an impression, left out" in capsys.readouterr().err


def test_evaluate_off_policy_says_what_is_missing(evaluated: Evaluated):
    done = CliRunner().invoke(command, ["--config", str(evaluated.workspace.root / "recsys.toml"), "--off-policy"])
    assert isinstance(done.exception, DataError)
    assert "the project has no impressions" in str(done.exception)
