import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys.schema import columns_of
from recsys.simulation import Settings, Simulated, Simulator, simulate

SMALL = Settings(users=50, items=60, impressions=4_000, days=10, list_length=5, seed=1)


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return simulate(SMALL)


def test_the_tables_are_those_of_the_schema_and_say_in_every_row_that_they_are_synthetic(simulated: Simulated):
    for name in ("items", "users", "impressions", "interactions"):
        table = getattr(simulated, name)
        known = columns_of(name)
        assert {column: table.schema[column] for column in table.columns if column in known} == {
            column: known[column] for column in table.columns if column in known
        }
        assert table["synthetic"].all()
    assert len(simulated.impressions) == 4_000
    assert set(simulated.interactions["event_type"]) == {"click", "purchase"}


def test_the_same_seed_gives_the_same_logs_and_another_seed_gives_others(simulated: Simulated):
    again = simulate(SMALL)
    for name in ("items", "users", "impressions", "interactions"):
        assert_frame_equal(getattr(again, name), getattr(simulated, name))
    assert not simulate(Settings(users=50, items=60, impressions=4_000, days=10, seed=2)).items.equals(again.items)


def test_parts_are_the_whole_log_one_after_another(simulated: Simulated, monkeypatch):
    monkeypatch.setattr("recsys.simulation.logs.LISTS_A_PART", 1_500)
    parts = list(Simulator(SMALL).parts())
    assert [len(part.impressions) for part in parts] == [1_500, 1_500, 1_000]
    joined = pl.concat([part.impressions for part in parts])
    assert joined["request_id"].to_list() == simulated.impressions["request_id"].to_list()
    assert not np.array_equal(parts[0].propensities, parts[1].propensities)
    assert joined["timestamp"].to_list() == simulated.impressions["timestamp"].to_list()


def test_a_list_holds_different_items_that_are_already_published(simulated: Simulated):
    assert all(len(set(row)) == 5 for row in simulated.shown.tolist())
    published = simulated.items["published_at"].to_numpy()[simulated.shown]
    assert (published <= simulated.impressions["timestamp"].to_numpy()[:, None]).all()


def test_clicks_and_purchases_are_of_what_the_request_showed_and_a_purchase_follows_a_click(simulated: Simulated):
    shown = simulated.impressions.select("request_id", "user_id", shown_at="timestamp", item_id="items").explode(
        "item_id"
    )
    joined = simulated.interactions.join(shown, on=["request_id", "user_id", "item_id"])
    assert len(joined) == len(simulated.interactions)
    assert (joined["timestamp"] > joined["shown_at"]).all()
    clicks = simulated.interactions.filter(pl.col("event_type") == "click")
    purchases = simulated.interactions.filter(pl.col("event_type") == "purchase")
    assert len(purchases.join(clicks, on=["request_id", "item_id"])) == len(purchases) > 0
    assert (len(clicks), len(purchases)) == (simulated.clicked.sum(), simulated.bought.sum())


def test_positions_are_clicked_as_often_as_the_truth_says(simulated: Simulated):
    expected = simulated.truth.click_probabilities(simulated.attractiveness)
    error = np.sqrt((expected * (1 - expected)).sum(axis=0))
    assert (np.abs(simulated.clicked.sum(axis=0) - expected.sum(axis=0)) < 4 * error).all()


def test_what_is_clicked_is_bought_as_often_as_the_truth_says(simulated: Simulated):
    expected = 0.5 * simulated.attractiveness[simulated.clicked]
    error = np.sqrt((expected * (1 - expected)).sum())
    assert abs(simulated.bought.sum() - expected.sum()) < 4 * error


def test_a_cascade_user_clicks_at_most_once_and_as_often_as_the_truth_says():
    found = simulate(Settings(users=50, items=60, impressions=4_000, list_length=5, click_model="cascade"))
    assert found.clicked.sum(axis=1).max() == 1
    expected = found.truth.click_probabilities(found.attractiveness)
    error = np.sqrt((expected * (1 - expected)).sum(axis=0))
    assert (np.abs(found.clicked.sum(axis=0) - expected.sum(axis=0)) < 4 * error).all()
