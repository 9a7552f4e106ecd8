import shutil

import pytest

from tests.benchmarks.quick import quick
from tests.conftest import Project


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
@pytest.mark.parametrize("trained_shop", ["csv"], indirect=True)
def test_every_load_is_answered_and_stands_beside_its_floor(trained_shop: Project, tmp_path):
    details = quick("serving", tmp_path, "--config", str(trained_shop.config))
    loads = details["loads"]
    assert set(loads) == {"rank 100", "rank 500", "recommend", "saturation"}
    for name, found in loads.items():
        assert found["requests"] > 0 == found["failed"], name
        assert 0 < found["p50_ms"] <= found["p99_ms"], name
        assert name == "saturation" or found["floor_p50_ms"] > 0
    assert details["ready_s"] > 0
    assert details["resident_mb"] > 50
    assert details["second_worker_mb"] > 20
