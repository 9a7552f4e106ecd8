"""Any data by the same commands: init, import, train, evaluate and serve on a small made-up shop."""

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from tests.commands import recsys, serving
from tests.conftest import Project
from training.report import read_report

ONCE = pytest.mark.parametrize("trained_shop", ["csv"], indirect=True)
"""For what has nothing to do with the format of the files."""


def test_import_refuses_the_bad_rows_by_line_and_keeps_the_good_ones(trained_shop: Project):
    quarantine = trained_shop.config.parent / "quarantine" / "interactions.jsonl"
    refused = [json.loads(line) for line in quarantine.read_text().splitlines()]
    assert sum(trained_shop.shop.bad.values()) == len(refused) > 0
    assert len({row["line"] for row in refused}) == len(refused)
    kept = pl.read_parquet(trained_shop.config.parent / "tables" / "interactions.parquet")
    lines = trained_shop.shop.interactions.read_text().strip().splitlines()
    header = 1 if trained_shop.shop.interactions.suffix == ".csv" else 0
    assert len(kept) == len(lines) - header - len(refused)
    assert len(Counter(row["reason"] for row in refused)) == len(trained_shop.shop.bad)


def test_evaluate_measures_what_train_made_and_trains_nothing_again(trained_shop: Project, tmp_path: Path):
    done = recsys("evaluate", "--config", trained_shop.config, "--json", tmp_path / "out.json")
    assert "text: nothing has changed, reused" in done.stderr
    assert "ranker: nothing has changed, reused" in done.stderr
    report = read_report(tmp_path / "out.json")
    champion = (trained_shop.config.parent / "bundles" / "champion").read_text().strip()
    assert report["bundle"] == champion
    assert report["models"]["recsys"]["all"]["ndcg@10"] > report["models"]["popularity"]["all"]["ndcg@10"]
    assert (tmp_path / "out.html").exists()
    again = tmp_path / "again.json"
    done = recsys("evaluate", "--config", trained_shop.config, "--json", again, "--against", tmp_path / "out.json")
    assert f"recsys on all, since {champion}" in done.stdout
    compared = read_report(again)["comparison"]["tasks"]["all"]
    assert compared["users"] == report["users"]["all"]
    assert {one["difference"] for one in compared["metrics"].values()} == {0.0}


@ONCE
def test_evaluate_at_an_earlier_date_leaves_the_champion_serving(trained_shop: Project, tmp_path: Path):
    champion = trained_shop.config.parent / "bundles" / "champion"
    before = champion.read_text()
    out = tmp_path / "earlier.json"
    recsys("evaluate", "--config", trained_shop.config, "--test-start", "2024-04-01", "--json", out)
    assert read_report(out)["test_start"].startswith("2024-04-01")
    assert champion.read_text() == before
    with serving(trained_shop.config) as server:
        assert server.post("/v1/recommend", {"user_id": "anyone"})[0] == 200


def test_serve_answers_from_the_trained_bundle_without_a_training_framework_feast_or_pandas(trained_shop: Project):
    tables = trained_shop.config.parent / "tables"
    user = pl.read_parquet(tables / "interactions.parquet")["user_id"][0]
    items = pl.read_parquet(tables / "items.parquet").unique("item_id")
    title = dict(items.select("item_id", "title").iter_rows())
    with serving(trained_shop.config) as server:
        assert server.get("/livez")[0] == 200
        assert server.get("/readyz")[0] == 200
        wanted = [*list(title)[:20], "no-such-item"]
        status, ranked = server.post("/v1/rank", {"user_id": user, "candidates": wanted})
        assert status == 200
        assert {item["item_id"] for item in ranked["items"]} == set(wanted[:20])
        assert ranked["unknown"] == ["no-such-item"]
        scores = [item["score"] for item in ranked["items"]]
        assert scores == sorted(scores, reverse=True)
        status, recommended = server.post("/v1/recommend", {"user_id": user, "limit": 5})
        assert status == 200
        assert len(recommended["items"]) == 5
        assert all(item["title"] == title[item["item_id"]] and item["channels"] for item in recommended["items"])
        event = {"user_id": user, "item_id": wanted[0], "event_type": "purchase", "event_id": "once"}
        assert server.post("/v1/events", event)[1]["results"][0]["status"] == "stored"
        assert server.post("/v1/events", event)[1]["results"][0]["status"] == "duplicate"


@ONCE
def test_training_on_everything_publishes_a_bundle_that_knows_the_last_day(trained_shop: Project):
    bundles = trained_shop.config.parent / "bundles"
    champion = (bundles / "champion").read_text()
    recsys("train", "--config", trained_shop.config, "--all-data")
    now = (bundles / "champion").read_text()
    assert now != champion
    manifest = json.loads((bundles / now.strip() / "manifest.json").read_text())
    last = pl.read_parquet(trained_shop.config.parent / "tables" / "interactions.parquet")["timestamp"].max()
    assert manifest["trained_until"] > str(last.isoformat())[:19]
    (bundles / "champion").write_text(champion)


@ONCE
def test_training_where_no_framework_is_installed_says_which_extra_has_it(trained_shop: Project):
    done = recsys("train", "--config", trained_shop.config, "--all-data", expect=2, blocked=("torch",))
    assert "install recsys[train]" in done.stderr


@ONCE
def test_a_broken_project_is_one_message_and_exit_code_2(trained_shop: Project, tmp_path: Path):
    good = trained_shop.config.read_text()
    (tmp_path / "recsys.toml").write_text(good.replace("[text]", "[texts]"))
    assert "texts" in recsys("train", "--config", tmp_path / "recsys.toml", expect=2).stderr
    (tmp_path / "recsys.toml").write_text(good)
    for command, word in (("train", "recsys import"), ("evaluate", "recsys import"), ("serve", "recsys train")):
        assert word in recsys(command, "--config", tmp_path / "recsys.toml", expect=2).stderr
    for command in ("import", "train", "evaluate", "serve"):
        assert "recsys init" in recsys(command, "--config", tmp_path / "nowhere.toml", expect=2).stderr
    late = recsys("evaluate", "--config", trained_shop.config, "--test-start", "2050-01-01", expect=2)
    assert "2050" in late.stderr
    wrong = recsys("evaluate", "--config", trained_shop.config, "--test-start", "soon", expect=2)
    assert "ISO date" in wrong.stderr
