"""How a project's requests were answered, since the process began: the part of /metrics that counts."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.histogram import Histogram
from serving.watching import Watched

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
STAGE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)
SCORES: Final = (-10.0, -5.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 25.0, 100.0)

BATCHES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

SCORED_ITEMS: Final = 5
"""The best of an answer: those below say less, and each costs a request a third of a microsecond."""

REASONS: Final = ("deadline", "error")
"""Why a part can be left out; what else stands behind the colon, such as an age, would make a series of each value."""


class Traffic(Collector):
    """For one thread: that of the requests."""

    def __init__(self) -> None:
        self._requests = Histogram(SECONDS)
        self._stages = Histogram(STAGE_SECONDS)
        self._scores = Histogram(SCORES)
        self._batches = Histogram(BATCHES)
        self._degraded: Counter[tuple[str, str]] = Counter()
        self._users = {"yes": 0, "no": 0}
        self._candidates = {"yes": 0, "no": 0}

    def add(self, route: str, watched: Watched, seconds: float) -> None:
        """Count a request that is over; `route`: method and path, without the ids in it."""
        self._requests.add((route, str(watched.status)), seconds)
        for stage in watched.stages:
            self._stages.add((stage.stage,), stage.seconds)
        if watched.user_is_known is not None:
            self._users["yes" if watched.user_is_known else "no"] += 1
        if watched.candidates is not None:
            self._candidates["yes"] += watched.candidates[0]
            self._candidates["no"] += watched.candidates[1]
        if watched.batch is not None:
            self._batches.add((), watched.batch)
        if watched.degraded:
            # Scores of an order that something is missing from are on another scale.
            for said in watched.degraded:
                part, _, reason = said.partition(": ")
                self._degraded[part, reason if reason in REASONS else ""] += 1
        else:
            for item in watched.items[:SCORED_ITEMS]:
                self._scores.add((route,), item.score)

    def collect(self) -> Iterator[Metric]:
        yield self._requests.family(
            "recsys_request_seconds", "Time to an answer; status 0: the client went away before", ("route", "status")
        )
        yield self._stages.family("recsys_stage_seconds", "Time that a part of a request took", ("stage",))
        yield self._scores.family(
            "recsys_score", f"Scores of the best {SCORED_ITEMS} items of whole answers", ("route",)
        )
        yield self._batches.family(
            "recsys_interest_batch_requests", "Requests whose interest by text was scored together", ()
        )
        degraded = CounterMetricFamily(
            "recsys_degraded", "Answers that had to do without a part", labels=("part", "reason")
        )
        for labels, count in self._degraded.items():
            degraded.add_metric(labels, float(count))
        yield degraded
        for name, help_text, counts in (
            ("recsys_users_asked", "Requests for a user, by whether the user has a history", self._users),
            ("recsys_candidates_asked", "Candidates sent, by whether the catalogue has them", self._candidates),
        ):
            family = CounterMetricFamily(name, help_text, labels=("known",))
            for known, count in counts.items():
                family.add_metric((known,), float(count))
            yield family
