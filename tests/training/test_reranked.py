import numpy as np
import polars as pl
import pytest

from recsys.simulation import Settings, simulate
from training.reranked import estimate_reranked, with_expectation, with_target

NAN = float("nan")


def shown(*scores: float | None, request: str = "r") -> pl.DataFrame:
    places = range(1, len(scores) + 1)
    return pl.DataFrame(
        {"request_id": request, "position": places, "score": scores}, schema_overrides={"score": pl.Float64}
    )


@pytest.mark.parametrize(
    ("scores", "target"),
    [
        ((3, 2, 1), [1, 1, 1]),
        ((1, 2, 3), [0, 1, 0]),
        ((2, 3, 1), [0, 0, 1]),
        ((5, 5, 1), [0.5, 0.5, 1]),
        ((1, 5, 5), [0, 0.5, 0]),
        ((4, 4, 4), [1 / 3] * 3),
        ((NAN, 1, None), [0, 0, 0.5]),
    ],
)
def test_an_item_stays_where_it_was_shown_when_its_score_puts_it_there(scores, target):
    assert with_target(shown(*scores))["target"].to_list() == pytest.approx(target)


def test_requests_are_ordered_each_by_itself():
    rows = pl.concat([shown(1, 2, request="q"), shown(4, 3, request="r")])
    assert with_target(rows)["target"].to_list() == [0, 0, 1, 1]


def test_what_is_expected_of_a_position_is_of_the_item_that_the_scores_put_there():
    rows = shown(1, 3, 3).with_columns(lift=pl.Series([0.5, 1.0, 2.0]), base=pl.Series([0.4, 0.2, 0.1]), fold=pl.lit(0))
    # The second and third share the first two positions, the first comes last.
    assert with_expectation(rows)["expected"].to_list() == pytest.approx([0.4 * 1.5, 0.2 * 1.5, 0.1 * 0.5])


def test_the_rewards_of_the_first_positions_alone_can_be_counted():
    log = simulate(Settings(users=50, items=60, impressions=2_000, list_length=4))
    rows = rows_of(log.shown_to, log.shown, log.propensities, log.clicked, -np.tile(np.arange(4), (2_000, 1)))
    found = estimate_reranked(rows, top=1)
    assert found.logged.value == pytest.approx(log.clicked[:, 0].mean())


def rows_of(users, items, propensities, rewards, scores) -> pl.DataFrame:
    count, length = items.shape
    return pl.DataFrame(
        {
            "request_id": np.repeat(np.arange(count), length),
            "user_id": np.repeat(users, length),
            "item_id": items.ravel(),
            "position": np.tile(np.arange(length) + 1, count),
            "propensity": propensities.ravel(),
            "reward": rewards.ravel().astype(float),
            "score": scores.ravel(),
        }
    )


def test_the_intervals_of_another_order_cover_what_it_truly_earns_in_90_of_100_simulated_logs():
    runs, requests, length = 100, 1_000, 4
    log = simulate(Settings(users=200, items=60, impressions=runs * requests, list_length=length, seed=5))
    scores = log.attractiveness + np.random.default_rng(5).normal(0, 0.05, 60)[log.shown]
    best_first = np.argsort(-scores, axis=1)
    earned = log.truth.click_probabilities(np.take_along_axis(log.attractiveness, best_first, axis=1))
    truth = earned.sum(axis=1).mean()
    covered, widths = np.zeros(2, dtype=int), np.zeros(3)
    for at in np.random.default_rng(0).permutation(runs * requests).reshape(runs, requests):
        rows = rows_of(log.shown_to[at], log.shown[at], log.propensities[at], log.clicked[at], scores[at])
        found = estimate_reranked(rows)
        assert found.dr is not None
        covered += [one.low <= truth <= one.high for one in (found.snips, found.dr)]
        widths += [one.high - one.low for one in (found.ips, found.snips, found.dr)]
    assert (covered >= 90).all()
    assert widths[1] < widths[0]
    assert widths[2] < widths[0]
