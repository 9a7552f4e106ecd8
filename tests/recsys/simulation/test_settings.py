import pytest

from recsys.errors import ConfigError
from recsys.simulation import Settings, simulate


def test_a_value_that_is_not_allowed_is_named():
    with pytest.raises(ConfigError, match=r"simulation: .*<= 1\.0 - at `\$\.exploration`"):
        simulate(Settings(exploration=1.5))


def test_a_catalogue_too_small_for_its_lists_says_what_to_do():
    with pytest.raises(
        ConfigError, match=r"29 items for lists of 10, expected 3 items .*raise items or lower list_length"
    ):
        simulate(Settings(items=29))
