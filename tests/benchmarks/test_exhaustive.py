import numpy as np
import pytest

from benchmarks.exhaustive import ExhaustiveRetrieval


@pytest.mark.parametrize(("items", "top"), [(500, 3), (640, 3), (640, 64), (6400, 500)])
def test_the_nearest_of_all_items_are_found(tmp_path, items, top):
    retrieval = ExhaustiveRetrieval(tmp_path, items, top=top)
    random = np.random.default_rng(0).standard_normal((items, 384), dtype=np.float32)
    query = random[[42]]
    assert retrieval.best(query).tolist() == np.argsort(-(random @ query[0]))[:top].tolist()
    assert retrieval.best(query)[0] == 42
    assert retrieval.bytes == items * 384 * 4
