from tests.benchmarks.quick import quick


def test_every_store_answers_the_same_requests(tmp_path):
    details = quick("online_features", tmp_path)
    assert set(details["p50_ms"]) == {"Feast SQLite", "Feast Redis", "packed SQLite", "packed Redis", "snapshot"}
    assert details["features"] == 25
    assert all(0 < each <= details["p99_ms"][name] for name, each in details["p50_ms"].items())
