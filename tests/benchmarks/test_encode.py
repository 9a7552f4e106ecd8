from tests.benchmarks.quick import quick


def test_ours_and_the_peer_encode_the_same_titles(tmp_path):
    titles = quick("encode", tmp_path, "--threads", "1")["titles"]
    assert titles["texts"] == 24
    assert titles["difference"] < 1e-4
    assert set(titles["times_peer"]) == {
        "sentence-transformers, batches of 32",
        "sentence-transformers, batches of 128",
        "fp32",
        "int8",
    }
    assert max(list(titles["times_peer"].values())[:2]) == 1.0
    assert all(rate > 0 for rate in titles["texts_a_second"].values())
