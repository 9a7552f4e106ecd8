"""What more users than before discover just now: first choices of the last 7 days against those of the 21 before.

The score is the logarithm of the ratio of the two rates over its standard error, with a prior in both that expects
neither more nor less than before. So one user more is no trend for an item that few choose. Monroe, Colaresi and Quinn,
"Fightin' words: lexical feature selection and evaluation for identifying the content of political conflict", 2008: the
prior is its informative one, the rates are Poisson's.
"""

from typing import Final

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats

RECENT, LONGER = "new_users_7d", "new_users_28d"

PRIOR_USERS: Final = 1.0
"""What the prior weighs, in users an item."""


def trending(query: Query) -> Floats:
    week = np.nan_to_num(query.items.column(RECENT))
    month = np.nan_to_num(query.items.column(LONGER))
    chosen = np.flatnonzero(month > 0)
    scores = query.nothing()
    if len(chosen) == 0:
        return scores
    prior = PRIOR_USERS * month[chosen] / month[chosen].mean()
    recent, before = week[chosen] + prior, month[chosen] - week[chosen] + prior
    difference = np.log(recent / recent.sum()) - np.log(before / before.sum())
    strength = difference / np.sqrt(1 / recent + 1 / before)
    scores[chosen] = np.where((difference > 0) & (week[chosen] > 0), strength, -np.inf)
    return scores
