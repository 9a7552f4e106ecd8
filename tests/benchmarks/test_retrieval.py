import numpy as np

from benchmarks.made_catalogue import enlarged, like, made_titles
from tests.benchmarks.quick import quick


def test_the_index_finds_nearly_all_that_comparing_all_items_finds(tmp_path):
    details = quick("retrieval", tmp_path, "--folder", str(tmp_path))
    assert details["items"] == 3000
    assert details["users"] == 3
    assert details["index"]["recall"] > 0.95
    assert all(details["index"][name] > 0 for name in ("p50_ms", "p99_ms", "build_s", "mb"))
    assert details["scan"]["of_bandwidth"] > 0
    assert details["all_by_interest_ms"] > 0


def test_titles_are_made_of_the_beginning_of_one_and_the_end_of_another():
    made = made_titles(["RED TEA CUP", "BLUE BAG", "SPADE"], 8)
    assert made[:3] == ["RED TEA CUP", "BLUE BAG", "SPADE"]
    assert set(made[3:]) <= {"RED CUP", "RED TEA TEA CUP", "RED BAG", "RED TEA BAG", "BLUE CUP", "BLUE TEA CUP"}
    assert len(set(made)) == 8


def test_vectors_are_made_of_like_ones_and_kept_at_unit_length(tmp_path):
    # Two bundles of vectors at right angles: what is made of one is near to that one alone.
    angles = np.concatenate([np.linspace(0, 0.1, 40), np.linspace(np.pi / 2, np.pi / 2 + 0.1, 40)])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert set(like(vectors)[0].tolist()) == set(range(1, 33))
    found = enlarged(vectors, 1000, tmp_path)
    assert (found[:80] == vectors).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    turned = np.arctan2(found[:, 1], found[:, 0])
    assert (np.minimum(abs(turned), abs(turned - np.pi / 2)) < 0.25).all()
    assert found.tolist() == enlarged(vectors, 1000, tmp_path).tolist()
