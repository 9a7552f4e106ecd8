"""Counts of values by size, for Prometheus; for one thread: that of the requests, which also answers /metrics.

The histograms of prometheus_client take a lock for each value and look labels up behind another one.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import Metric

Labels = tuple[str, ...]


class Histogram:
    """Values of some labels, in buckets by their upper bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(sorted(bounds))
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, labels: Labels, value: float) -> None:
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def family(self, name: str, help_text: str, label_names: Sequence[str]) -> Metric:
        """As Prometheus takes it: each bucket with all that are smaller.

        HistogramMetricFamily would leave out how many there are, and their sum, when a bound is negative.
        """
        family = Metric(name, help_text, "histogram")
        ends = [*(str(bound) for bound in self._bounds), "+Inf"]
        for values, counts in self._counts.items():
            labels = dict(zip(label_names, values, strict=True))
            for end, count in zip(ends, accumulate(counts), strict=True):
                family.add_sample(f"{name}_bucket", {**labels, "le": end}, float(count))
            family.add_sample(f"{name}_count", labels, float(sum(counts)))
            family.add_sample(f"{name}_sum", labels, self._sums[values])
        return family
