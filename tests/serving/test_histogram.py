"""Counts by size."""

from serving.histogram import Histogram


def test_a_value_counts_in_the_first_bucket_that_reaches_it_and_in_all_larger_ones():
    histogram = Histogram([1.0, 2.0, 4.0])
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(("a",), value)
    histogram.add(("b",), 3.0)
    samples = histogram.family("n", "h", ["l"]).samples
    counts = {(s.labels["l"], s.labels.get("le")): s.value for s in samples if s.name == "n_bucket"}
    assert [counts["a", end] for end in ("1.0", "2.0", "4.0", "+Inf")] == [2, 3, 3, 4]
    assert [counts["b", end] for end in ("1.0", "2.0", "4.0", "+Inf")] == [0, 0, 1, 1]
    sums = {s.labels["l"]: s.value for s in samples if s.name == "n_sum"}
    assert sums == {"a": 12.0, "b": 3.0}
