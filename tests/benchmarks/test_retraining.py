from tests.benchmarks.quick import quick


def test_the_server_answers_before_and_during_a_retraining_and_each_is_timed(tmp_path):
    details = quick("retraining", tmp_path)
    assert set(details["seconds"]) == {"from scratch", "retraining", "retraining beside the server"}
    assert all(seconds > 0 for seconds in details["seconds"].values())
    for found in (details["usual"], details["during"]):
        assert found["requests"] > 10
        assert found["failed"] == 0
        assert 0 < found["p50_ms"] <= found["p99_ms"]
