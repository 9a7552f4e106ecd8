from datetime import date

import polars as pl
import pytest

from features.daily.events import keyed_events, no_events
from features.daily.log import DailyLog
from recsys.errors import DataError
from tests.features.daily.cases import events
from tests.features.log import day

DAY = date(2024, 1, 2)


@pytest.fixture
def log(tmp_path):
    daily = DailyLog(tmp_path)
    daily.write(events(("ann", "tea", 1, 2.0, "view"), ("bob", "tea", 1.5, None, "buy")))
    return daily


def test_an_interaction_becomes_numbers(log):
    found = keyed_events(log, DAY, log.scan(DAY), ["buy", "view"])
    assert found["user_id"].to_list() == ["ann", "bob"]
    assert found["user_key"].n_unique() == 2
    assert found["item_key"].n_unique() == 1
    assert found["rank"].to_list() == [1, 0]
    assert found["at"].to_list() == [round(day(number).timestamp() * 1e6) for number in (1, 1.5)]
    assert found["logged"].diff().to_list() == [None, 1]
    assert found["value"].to_list() == [2.0, None]


def test_a_type_without_a_rank_is_refused(log):
    with pytest.raises(DataError, match=r"day=2024-01-02: found the types \['view'\], expected \['buy'\]"):
        keyed_events(log, DAY, log.scan(DAY), ["buy"])


def test_no_interactions_have_the_same_columns(log):
    found = keyed_events(log, DAY, log.scan(DAY), ["buy", "view"])
    assert dict(no_events().select(found.columns).schema) == dict(found.schema)
    assert isinstance(no_events(), pl.DataFrame)
