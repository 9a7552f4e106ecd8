"""The channels, in the order in which equal ranks are merged."""

from collections.abc import Callable
from typing import Final

from recsys.retrieval.cooccurrence import cooccurrence
from recsys.retrieval.fresh import fresh
from recsys.retrieval.interest import interest, interest_popular
from recsys.retrieval.popular import popular
from recsys.retrieval.query import Query
from recsys.retrieval.regression import regression
from recsys.retrieval.repeat import repeat
from recsys.state import Floats

Channel = Callable[[Query], Floats]

CHANNELS: Final[dict[str, Channel]] = {
    "repeat": repeat,
    "interest_popular": interest_popular,
    "regression": regression,
    "cooccurrence": cooccurrence,
    "interest": interest,
    "popular": popular,
    "fresh": fresh,
}
