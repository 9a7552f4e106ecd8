"""What is known of a user: how often, how much at once, for how much, in what rhythm, and since when."""

import numpy as np

from features.families.family import EVER, INTERACTIONS, NOW, Feature, Project, Request, in_windows, of_types
from recsys.state import SECONDS_A_DAY, Floats


def features(project: Project) -> tuple[Feature, ...]:
    """First those that the store holds, in its order."""
    return (
        *in_windows("user_occasions", "distinct moments with an interaction", "occasions"),
        *of_types("user_", project.types),
        Feature("user_distinct_items", "distinct items", "items", EVER, INTERACTIONS),
        Feature("user_value_sum_28d", "sum of the values of the interactions", "value", "28 days", INTERACTIONS),
        Feature("user_value_sum_90d", "sum of the values of the interactions", "value", "90 days", INTERACTIONS),
        Feature("user_value_sum", "sum of the values of the interactions", "value", EVER, INTERACTIONS),
        Feature("user_value_mean", "mean value of an interaction", "value", EVER, INTERACTIONS),
        Feature("user_value_deviation", "standard deviation of the values", "value", EVER, INTERACTIONS),
        Feature("user_items_per_occasion", "mean distinct items of an occasion", "items", EVER, INTERACTIONS),
        Feature("user_repeat_share", "pairs of occasion and item that repeat one", "share", EVER, INTERACTIONS),
        Feature("user_gap_days", "mean time between two occasions", "days", EVER, INTERACTIONS),
        Feature("user_age_days", "time since the first interaction", "days", NOW, INTERACTIONS),
        Feature("user_idle_days", "time since the last interaction", "days", NOW, INTERACTIONS),
    )


def values(request: Request) -> Floats:
    """The same for all candidates."""
    held = request.user.behaviour[: request.user_columns.index("value_count")]
    of = request.of_user
    span_days = (of("last_at") - of("first_at")) / SECONDS_A_DAY
    made = [
        value_mean(request),
        value_deviation(request),
        of("pairs") / of("occasions"),
        1 - of("distinct_items") / of("pairs"),
        span_days / (of("occasions") - 1),
        (request.now - of("first_at")) / SECONDS_A_DAY,
        (request.now - of("last_at")) / SECONDS_A_DAY,
    ]
    return np.concatenate([held, made])


def value_mean(request: Request) -> np.float64:
    """NaN where no interaction of the user has a value."""
    return request.of_user("value_sum") / request.of_user("value_count")


def value_deviation(request: Request) -> np.float64:
    """Of the values of the user's interactions, around their mean."""
    variance = request.of_user("value_sum_squares") / request.of_user("value_count") - value_mean(request) ** 2
    # Rounding makes less than nothing of equal values.
    return np.float64(np.sqrt(np.maximum(variance, 0.0)))
