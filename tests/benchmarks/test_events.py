import pytest

from tests.benchmarks.quick import quick
from tests.conftest import Project


@pytest.mark.parametrize("trained_shop", ["csv"], indirect=True)
def test_a_server_and_the_floor_store_every_event_that_is_posted(trained_shop: Project, tmp_path):
    details = quick("events", tmp_path, "--config", str(trained_shop.config), "--kills", "1")
    assert all(rate > 0 for rates in ("per_second", "floor_per_second") for rate in details[rates].values())
    kills = details["kills"]
    assert (kills["kills"], kills["lost"], kills["twice"], kills["invented"]) == (1, 0, 0, 0)
