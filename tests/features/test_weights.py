import polars as pl
import pytest

from features.weights import weigh
from recsys.config import InteractionType
from recsys.errors import DataError


def test_an_interaction_weighs_what_the_configuration_says_of_its_type():
    types = {"view": InteractionType(weight=0.2), "purchase": InteractionType()}
    weighed = weigh(pl.DataFrame({"event_type": ["view", "purchase", "view"]}), types)
    assert weighed["weight"].dtype == pl.Float32
    assert weighed["weight"].to_list() == pytest.approx([0.2, 1, 0.2])


def test_an_interaction_of_a_type_that_is_not_configured_is_refused():
    with pytest.raises(DataError, match=r"found the types \['like'\], expected \['view'\]; add them to"):
        weigh(pl.DataFrame({"event_type": ["view", "like"]}), {"view": InteractionType()})
