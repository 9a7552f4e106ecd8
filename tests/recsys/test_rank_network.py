import numpy as np
import pytest

from recsys.errors import BundleError
from recsys.rank_network import MOST_DEVIATIONS, FeatureScale, RankNetwork

WIDTH, FIRST, SECOND = 5, 8, 4


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Five features: large, small, sometimes missing, always the same, never known."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, WIDTH)) * [1000, 0.1, 1, 0, 1]
    found[random.random(count) < 0.3, 2] = np.nan
    found[:, 3], found[:, 4] = 7, np.nan
    return found.astype(np.float32)


def network(seed: int = 0) -> RankNetwork:
    random = np.random.default_rng(seed)
    scale = FeatureScale.of(rows(500))
    shapes = [(scale.width, FIRST), (FIRST,), (FIRST, SECOND), (SECOND,), (SECOND,), (1,)]
    return RankNetwork(scale, *(random.normal(size=shape).astype(np.float32) for shape in shapes))


def test_inputs_are_standardised_logarithms_and_what_is_missing():
    scale, matrix = FeatureScale.of(rows(500)), rows(500)
    assert (scale.varying.tolist(), scale.gaps.tolist()) == ([0, 1, 2], [2])
    found = scale.inputs(matrix)
    assert found.shape == (500, scale.width)
    assert found.dtype == np.float32
    known = np.isfinite(matrix[:, 2])
    for at, of_known in ((0, np.ones(500, bool)), (1, np.ones(500, bool)), (2, known)):
        logs = np.sign(matrix[of_known, at]) * np.log(1 + np.abs(matrix[of_known, at].astype(np.float64)))
        expected = np.clip((logs - logs.mean()) / logs.std(), -MOST_DEVIATIONS, MOST_DEVIATIONS)
        np.testing.assert_allclose(found[of_known, at], expected, atol=1e-4)
    assert (found[~known, 2] == 0).all()
    np.testing.assert_array_equal(found[:, 3], ~known)
    assert scale.gap_shares[0] == pytest.approx((~known).mean())


def test_infinity_counts_as_missing_and_what_training_never_saw_as_the_most():
    scale = FeatureScale.of(rows(500))
    found = scale.inputs(np.array([[np.inf, 1e30, -np.inf, 0, 0]], dtype=np.float32))
    np.testing.assert_array_equal(found, [[0, MOST_DEVIATIONS, 0, 1]])


def test_scores_are_those_of_the_layers():
    one, matrix = network(), rows(20, seed=1)
    hidden = np.maximum(one.scale.inputs(matrix).astype(np.float64) @ one.first + one.first_bias, 0)
    expected = np.maximum(hidden @ one.second + one.second_bias, 0) @ one.last + one.last_bias
    found = one.scores(matrix)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.times(3).scores(matrix), 3 * found, rtol=1e-5, atol=1e-5)
    assert one.scores(matrix[:0]).shape == (0,)


@pytest.mark.parametrize("seed", range(5))
def test_contributions_add_up_to_the_score(seed):
    one, matrix = network(seed), rows(50, seed=seed)
    found = one.contributions(matrix)
    assert found.shape == (50, WIDTH + 1)
    np.testing.assert_allclose(found.sum(axis=1), one.scores(matrix), rtol=1e-4, atol=1e-4)
    assert (found[:, 3:5] == 0).all()  # what is always the same explains nothing
    assert np.ptp(found[:, -1]) == 0


def test_a_feature_that_is_as_usual_adds_nothing_and_one_alone_adds_the_whole_difference():
    one = network()
    usual = np.expm1(np.abs(one.scale.mean)) * np.sign(one.scale.mean)
    row = usual[None].astype(np.float32).copy()
    row[0, 0] = 5000
    found = one.contributions(row)[0]
    assert abs(found[1]) < 1e-3
    # Of the third feature only that it is known is other than in the reference.
    assert found[0] + found[2] == pytest.approx(one.scores(row)[0] - found[-1], abs=1e-3)


def test_a_unit_that_stays_where_it_is_in_the_reference_divides_nothing_by_nothing():
    one = network()
    still = RankNetwork(one.scale, one.first * 0, one.first_bias, one.second, one.second_bias, one.last, one.last_bias)
    found = still.contributions(rows(10))
    np.testing.assert_array_equal(found[:, :-1], 0)
    np.testing.assert_allclose(found[:, -1], still.scores(rows(10)), rtol=1e-5)


def test_a_saved_network_comes_back_and_has_the_same_bytes(tmp_path):
    one, matrix = network(), rows(20)
    one.save(tmp_path / "one.npz")
    RankNetwork.load(tmp_path / "one.npz").save(tmp_path / "again.npz")
    np.testing.assert_array_equal(RankNetwork.load(tmp_path / "one.npz").scores(matrix), one.scores(matrix))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "another", "empty", "missing"])
def test_a_file_that_is_no_network_is_named(damage, tmp_path):
    path = tmp_path / "ranker_network.npz"
    network().save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "another":
        np.savez(path, first=np.zeros(3))
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    with pytest.raises(BundleError, match=r"ranker_network\.npz: no network"):
        RankNetwork.load(path)
