import numpy as np
import pytest

from recsys.retrieval.nearest import NearestItems
from recsys.soft_maximum import SoftMaximum

DIMENSION = 32
TOWER = {
    "temperature": 12.0,
    "age_unit_days": 7.0,
    "label_share": [1.0],
    "age_power": [0.0],
    "occasions_power": [0.0],
    "kind_weight": [[0.0]],
    "query_gate": [0.0],
    "query_gate_slope": [0.0],
}


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def interest_of(history: np.ndarray, query: np.ndarray | None = None) -> SoftMaximum:
    """Of a user who chose items with these vectors, all at once."""
    n = len(history)
    known = {"kinds": np.zeros(n, dtype=np.int64), "age_days": np.zeros(n), "occasions": np.ones(n)}
    return SoftMaximum.of(TOWER, history, query, **known)


def nothing(count: int) -> np.ndarray:
    return np.zeros(count, dtype=np.bool_)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Twenty items around each of 200 places, which lie near a few directions as texts do."""
    random = np.random.default_rng(0)
    places = random.normal(size=(200, DIMENSION)) * np.linspace(2, 0.5, DIMENSION)
    return unit(np.repeat(places, 20, axis=0) + 0.7 * random.normal(size=(4000, DIMENSION)))


@pytest.fixture(scope="module")
def index(vectors) -> NearestItems:
    return NearestItems.of(vectors, looked_at=1000)


def test_what_is_found_holds_nearly_all_of_the_best_though_a_quarter_is_looked_at(vectors, index):
    random, shares = np.random.default_rng(1), []
    for _ in range(20):
        interest = interest_of(vectors[random.choice(4000, 8, replace=False)])
        best = np.argsort(-interest.of_vectors(vectors))[:50]
        found = index.near(interest, limit=150, exclude=nothing(4000))
        assert len(np.unique(found)) == len(found) == 150
        shares.append(np.isin(best, found).mean())
    assert np.mean(shares) >= 0.95


def test_a_query_is_as_good_as_a_history(vectors, index):
    found = index.near(interest_of(vectors[:0], vectors[7]), limit=20, exclude=nothing(4000))
    assert 7 in found
    assert np.isin(np.argsort(-(vectors @ vectors[7]))[:10], found).mean() >= 0.9


def test_the_same_vectors_give_the_same_index_and_a_file_holds_it(vectors, index, tmp_path):
    index.save(tmp_path / "nearest.faiss")
    interest = interest_of(vectors[[1, 50, 900]])
    expected = index.near(interest, limit=100, exclude=nothing(4000)).tolist()
    for other in (NearestItems.of(vectors, looked_at=1000), NearestItems.load(tmp_path / "nearest.faiss")):
        other._looked_at = 1000
        assert other.near(interest, limit=100, exclude=nothing(4000)).tolist() == expected


def test_nothing_that_is_excluded_is_found_and_what_is_left_is_found_wherever_it_lies(vectors, index):
    exclude = ~nothing(4000)
    exclude[[3, 1500, 3999]] = False
    assert index.near(interest_of(vectors[[0]]), limit=10, exclude=exclude).tolist() == [3, 1500, 3999]
    exclude[:] = True
    assert index.near(interest_of(vectors[[0]]), limit=10, exclude=exclude).tolist() == []


def test_more_than_there_are_gives_all_there_are(vectors):
    for count in (1, 2, 30):
        index = NearestItems.of(vectors[:count])
        found = index.near(interest_of(vectors[[0]]), limit=100, exclude=nothing(count))
        assert found.tolist() == list(range(count))
        assert len(index.near(interest_of(vectors[[0]]), limit=1, exclude=nothing(count))) == 1


def test_items_that_are_all_alike_are_found(vectors):
    index = NearestItems.of(np.repeat(vectors[:1], 50, axis=0))
    assert len(index.near(interest_of(vectors[[0]]), limit=20, exclude=nothing(50))) == 20


def test_an_added_item_is_found_at_once_and_a_changed_one_where_it_now_is(vectors):
    index, place = NearestItems.of(vectors, looked_at=100), unit(-vectors[:20].sum(axis=0))
    interest = interest_of(place[None])
    before = index.near(interest, limit=5, exclude=nothing(4000))
    index.put(4000, place)
    index.put(11, place)
    assert not np.isin([11, 4000], before).any()
    assert np.isin([11, 4000], index.near(interest, limit=5, exclude=nothing(4001))).all()
    gone = nothing(4001)
    gone[11] = True
    assert 11 not in index.near(interest, limit=5, exclude=gone)
    # Where it lay before it is brought, if at all, once.
    found = index.near(interest_of(vectors[[11]]), limit=4001, exclude=nothing(4001)).tolist()
    assert found == list(range(4001))
