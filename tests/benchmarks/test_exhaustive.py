import numpy as np

from benchmarks.exhaustive import ExhaustiveRetrieval


def test_the_nearest_of_all_items_are_found(tmp_path):
    retrieval = ExhaustiveRetrieval(tmp_path, 500, top=3)
    random = np.random.default_rng(0).standard_normal((500, 384), dtype=np.float32)
    query = random[[42]]
    assert retrieval.best(query).tolist() == np.argsort(-(random @ query[0]))[:3].tolist()
    assert retrieval.best(query)[0] == 42
    assert retrieval.bytes == 500 * 384 * 4
