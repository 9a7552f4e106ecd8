import numpy as np
import polars as pl
import pytest

from recsys.errors import DataError
from recsys.off_policy import estimate
from recsys.simulation import Settings, simulate


def logged(*rows: tuple[str, int, float, float, float]) -> pl.DataFrame:
    """(request, position, propensity, reward, target) rows."""
    return pl.DataFrame(rows, schema=["request_id", "position", "propensity", "reward", "target"], orient="row")


FOUR = logged(("q", 1, 0.5, 1, 1), ("r", 1, 0.25, 0, 1), ("s", 1, 0.5, 1, 0), ("t", 1, 0.5, 0, 1))
"""Weights 2, 4, 0 and 2; the rewards are 1, 0, 1 and 0."""


def test_ips_is_the_mean_of_weighted_rewards_and_snips_divides_by_the_mean_weight():
    found = estimate(FOUR)
    assert found.logged.value == 0.5
    assert found.ips.value == pytest.approx((2 * 1 + 4 * 0 + 0 * 1 + 2 * 0) / 4)
    assert found.snips.value == pytest.approx(2 / (2 + 4 + 0 + 2))
    assert found.dr is None


def test_the_diagnostics_are_those_of_the_weights():
    found = estimate(FOUR).diagnostics
    assert found.requests == 4
    assert found.effective_sample_size == pytest.approx((2 + 4 + 2) ** 2 / (2**2 + 4**2 + 2**2))
    assert (found.largest_weight, found.clipped_share, found.matched_share) == (4.0, 0.0, 0.75)
    assert found.support.value == pytest.approx((2 + 4 + 0 + 2) / 4)


def test_clipped_weights_count_as_the_limit():
    found = estimate(FOUR, max_weight=3)
    assert found.snips.value == pytest.approx(2 / (2 + 3 + 0 + 2))
    assert (found.diagnostics.largest_weight, found.diagnostics.clipped_share) == (4.0, 0.25)


def test_dr_corrects_what_a_model_predicts_by_its_weighted_errors():
    found = estimate(FOUR.with_columns(predicted=pl.lit(0.5), expected=pl.lit(0.25)))
    assert found.dr is not None
    assert found.dr.value == pytest.approx(0.25 + (2 * 0.5 + 4 * -0.5 + 0 * 0.5 + 2 * -0.5) / 4)


def test_positions_are_summed_each_normalised_by_its_own_weights():
    rows = [("q", 1, 0.5, 1, 1), ("q", 2, 0.5, 0, 1), ("r", 1, 0.5, 0, 1), ("r", 2, 0.25, 1, 1)]
    found = estimate(logged(*rows))
    assert found.ips.value == pytest.approx((2 + 4) / 2)
    assert found.snips.value == pytest.approx(2 / (2 + 2) + 4 / (2 + 4))


def test_snips_does_not_change_when_every_weight_is_twice_as_large():
    rows = logged(*((f"{nth}", 1, 0.5, nth % 2, 0.5 + 0.5 * (nth % 3 > 0)) for nth in range(60)))
    once, twice = estimate(rows), estimate(rows.with_columns(propensity=pl.lit(0.25)))
    assert twice.ips.value == pytest.approx(2 * once.ips.value)
    assert (twice.snips.low, twice.snips.high) == pytest.approx((once.snips.low, once.snips.high))


def test_the_logging_policy_itself_is_estimated_by_what_it_earned():
    rows = FOUR.with_columns(target=pl.col("propensity"))
    found = estimate(rows)
    assert found.ips == found.snips == found.logged
    assert found.diagnostics.effective_sample_size == 4


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "propensity",
            0.0,
            r"request 'r', position 1: propensity is 0\.0, expected more than 0 and at most 1 \(so in 1 of 4",
        ),
        (
            "propensity",
            None,
            "propensity is None.*log the probability of each shown item's place, or leave that request out",
        ),
        ("propensity", float("nan"), "propensity is nan"),
        ("propensity", 1.5, r"propensity is 1\.5"),
        ("target", 1.5, r"target is 1\.5, expected a probability"),
        ("reward", -1.0, r"reward is -1\.0, expected 0 or more"),
        ("reward", float("nan"), "reward is nan"),
    ],
)
def test_what_cannot_be_is_refused_with_the_request(column: str, value: float | None, message: str):
    rows = FOUR.with_columns(**{column: pl.when(pl.col("request_id") == "r").then(pl.lit(value)).otherwise(column)})
    with pytest.raises(DataError, match=message):
        estimate(rows)


def test_requests_of_a_user_are_not_independent_of_each_other():
    again = pl.concat([FOUR.with_columns(user_id="request_id", request_id=pl.col("request_id") + f"{n}") for n in "12"])
    of_users, of_requests = estimate(again, by="user_id").ips, estimate(again).ips
    assert of_users.value == of_requests.value
    assert of_users.high - of_users.low > 1.2 * (of_requests.high - of_requests.low)


def test_a_target_that_never_does_what_was_done_cannot_be_estimated():
    with pytest.raises(DataError, match="position 1: the target never puts there what was shown there"):
        estimate(FOUR.with_columns(target=pl.lit(0.0)))


def test_one_request_says_nothing_of_others():
    with pytest.raises(DataError, match="found one request_id or none, expected two or more"):
        estimate(FOUR.head(1))


def test_one_half_of_a_model_is_refused():
    with pytest.raises(DataError, match="found one of predicted and expected"):
        estimate(FOUR.with_columns(predicted=pl.lit(0.5)))


def test_choices_that_the_logging_policy_never_shows_lower_the_support():
    # The target chooses x in every other request, which is never shown; else what is always shown.
    rows = logged(*((f"{nth}", 1, 1.0, 1, float(nth % 2)) for nth in range(1_000)))
    found = estimate(rows)
    assert found.diagnostics.support.value == pytest.approx(0.5)
    assert found.diagnostics.support.high < 0.6
    assert found.ips.value == pytest.approx(0.5)


RUNS, REQUESTS, LENGTH = 100, 1_500, 4


@pytest.fixture(scope="module")
def covered() -> dict[str, int]:
    """In how many of 100 logs of one shop each interval holds what another ranking would truly earn."""
    log = simulate(Settings(users=100, items=60, impressions=RUNS * REQUESTS, list_length=LENGTH, seed=11))
    noise = np.random.default_rng(11).normal(0, 1, 60)[log.shown]
    order = np.argsort(-(np.log(log.attractiveness) + noise), axis=1)
    places = np.argsort(order, axis=1)
    truth = log.truth.click_probabilities(np.take_along_axis(log.attractiveness, order, axis=1)).sum(axis=1).mean()
    # A model that is wrong in every value.
    predicted = log.truth.examination * (0.05 + 0.5 * log.attractiveness)
    expected = log.truth.examination * (0.05 + 0.5 * np.take_along_axis(log.attractiveness, order, axis=1))
    found = dict.fromkeys(("ips", "snips", "dr", "support"), 0)
    for requests in np.random.default_rng(0).permutation(RUNS * REQUESTS).reshape(RUNS, REQUESTS):
        estimates = estimate(
            pl.DataFrame(
                {
                    "request_id": np.repeat(requests, LENGTH),
                    "position": np.tile(np.arange(LENGTH), REQUESTS),
                    "propensity": log.propensities[requests].ravel(),
                    "reward": log.clicked[requests].ravel(),
                    "target": (places[requests] == np.arange(LENGTH)).ravel(),
                    "predicted": predicted[requests].ravel(),
                    "expected": expected[requests].ravel(),
                }
            ).with_columns(pl.col("reward", "target").cast(pl.Float64))
        )
        assert estimates.dr is not None
        for name, one in (("ips", estimates.ips), ("snips", estimates.snips), ("dr", estimates.dr)):
            found[name] += one.low <= truth <= one.high
        found["support"] += estimates.diagnostics.support.low <= 1 <= estimates.diagnostics.support.high
    return found


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "support"])
def test_the_intervals_cover_the_truth_in_90_of_100_simulated_logs(covered: dict[str, int], name: str):
    assert covered[name] >= 90
