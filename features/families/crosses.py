"""A candidate against the history of the user: how often and when it was chosen, and how it fits otherwise."""

from typing import Final

import numpy as np

from features.families.family import EVER, NOW, Feature, Project, Request
from features.families.user import value_deviation, value_mean
from recsys.state import SECONDS_A_DAY, Floats

SOURCE: Final = "history"
BOTH: Final = "interactions of both"


def features(project: Project) -> tuple[Feature, ...]:
    """The same for every project."""
    return (
        Feature("value_fit", "mean value of the item against that of the user", "ratio", EVER, BOTH),
        Feature("value_z", "the same as a difference", "standard deviations of the user", EVER, BOTH),
        Feature("times_chosen", "occasions on which the user chose it", "occasions", EVER, SOURCE),
        Feature("share_of_occasions", "the same of all occasions of the user", "share", EVER, SOURCE),
        Feature("value_chosen", "sum of the values of the user's interactions with it", "value", EVER, SOURCE),
        Feature("share_of_value", "the same of all values of the user", "share", EVER, SOURCE),
        Feature("days_since_chosen", "time since the user chose it last", "days", NOW, SOURCE),
        Feature("own_gap_days", "mean time between the user's occasions with it", "days", EVER, SOURCE),
        Feature("gap_fit", "days since chosen against the own gap", "ratio", NOW, SOURCE),
        Feature("user_gap_fit", "days since chosen against the user's gap", "ratio", NOW, SOURCE),
        Feature("in_last_occasion", "whether it was chosen on the latest occasion", "0 or 1", NOW, SOURCE),
        Feature("history_rank", "place among the items of the user, 0 = chosen last", "place", EVER, SOURCE),
        Feature("cooccurrence_sum", "strength between it and the history: sum", "strength", EVER, "co-occurrence"),
        Feature("cooccurrence_max", "strength between it and the history: maximum", "strength", EVER, "co-occurrence"),
        Feature("cooccurrence_last_occasion", "sum over the latest occasion", "strength", EVER, "co-occurrence"),
        Feature("regression_score", "what all that the user chose says of it, decayed", "interest", EVER, "regression"),
    )


def values(request: Request) -> Floats:
    """Of each candidate."""
    user, of_history = request.user, request.of_history
    occasions = of_history(user.occasions, 0.0)
    spent = of_history(user.spent, 0.0)
    days_since = (request.now - of_history(user.last_at)) / SECONDS_A_DAY
    spans = of_history((user.last_at - user.first_at) / SECONDS_A_DAY)
    own_gap = np.where(occasions > 1, spans / (occasions - 1), np.nan)
    user_span = (request.of_user("last_at") - request.of_user("first_at")) / SECONDS_A_DAY
    mean = request.of_item("value_sum") / request.of_item("value_count")
    columns = [
        mean / value_mean(request),
        (mean - value_mean(request)) / value_deviation(request),
        occasions,
        occasions / request.of_user("occasions"),
        spent,
        spent / request.of_user("value_sum"),
        days_since,
        own_gap,
        days_since / own_gap,
        days_since / (user_span / (request.of_user("occasions") - 1)),
        of_history(user.in_last_occasion.astype(np.float64), 0.0),
        np.where(request.place >= 0, request.place, np.nan),
        *(strength[request.candidates] for strength in request.cooccurrence),
        request.from_history.regression[request.candidates],
    ]
    return np.stack(columns, axis=1)
