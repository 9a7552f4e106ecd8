import pytest

from benchmarks.load import CLIENTS, Answered, Load
from benchmarks.resident import Sample
from tests.benchmarks.quick import quick
from tests.conftest import Project


@pytest.mark.parametrize("trained_shop", ["csv"], indirect=True)
def test_every_kind_of_request_is_sent_and_answered_and_memory_is_read_meanwhile(trained_shop: Project, tmp_path):
    details = quick("load", tmp_path, "--config", str(trained_shop.config))
    assert details["failures"] == {}
    assert {"rank", "recommend", "events", "similar", "trending"} <= set(details["requests"])
    # Whether one that is due when the time is over is sent is a matter of microseconds, for each client.
    sent = sum(details["requests"].values())
    assert sent == pytest.approx(144, abs=CLIENTS)
    assert sum(part["requests"] for part in details["parts"]) == sent
    assert all(0 < part["p50_ms"] <= part["p99_ms"] for part in details["parts"])
    assert len(details["samples"]) > 10
    assert details["memory"]["start_mb"] > details["anonymous"]["start_mb"] > 25


def test_what_comes_before_the_warm_up_is_over_does_not_count():
    # In the first minute 100 MB, and 200 MB from then on.
    samples = [Sample(60.0 * minute, 200_000_000 if minute else 100_000_000, 50_000_000) for minute in range(6)]
    load = Load(1, 5, samples, [])
    assert load.memory[:2] == (200, 200)
    assert load.memory.deviation_percent == 0
    assert load.anonymous[:2] == (50, 50)


def test_answers_are_counted_in_the_tenth_in_which_they_were_asked_for_and_failures_by_what_they_are():
    answers = [
        Answered("rank", 0.0, 0.010, None),
        Answered("rank", 59.9, 0.030, "status 500"),
        Answered("items", 60.0, 0.020, "status 500"),
        Answered("rank", 599.0, 0.040, "status 500"),
    ]
    load = Load(2, 8, [], answers)
    parts = load.by_part()
    assert [part["requests"] for part in parts] == [2, 1, *[0] * 7, 1]
    assert (parts[0]["p50_ms"], parts[1]["p50_ms"]) == (pytest.approx(20), pytest.approx(20))
    assert load.failures() == {"rank: status 500": 2, "items: status 500": 1}
