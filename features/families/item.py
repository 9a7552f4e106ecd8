"""What is known of an item by itself: how often and by how many it was chosen, for how much, and since when."""

from typing import Final

import numpy as np

from features.families.family import EVER, INTERACTIONS, NOW, Feature, Project, Request, in_windows, of_types
from features.fields import NEW_USERS_DAYS, windowed
from recsys.state import SECONDS_A_DAY, Floats

PRIOR_USERS: Final = 10.0
"""The share of earlier users is drawn to a twentieth, by as much as so many of them."""


def features(project: Project) -> tuple[Feature, ...]:
    """First those that the store holds, in its order."""
    return (
        *in_windows("item_users", "distinct users", "users"),
        *of_types("item_", project.types),
        Feature("item_occasions_28d", "moments at which a user chose it", "occasions", "28 days", INTERACTIONS),
        Feature("item_weight_28d", "sum of the weights of the interactions", "weight", "28 days", INTERACTIONS),
        *(
            Feature(windowed("item_new_users", days), "users to whom it was new", "users", f"{days} days", INTERACTIONS)
            for days in NEW_USERS_DAYS
        ),
        Feature("item_repeat_share", "users who came back to it on another occasion", "share", EVER, INTERACTIONS),
        Feature("item_again_28d", "its earlier users who came back to it, smoothed", "share", "28 days", INTERACTIONS),
        Feature("item_new_share_28d", "its users to whom it was new, smoothed", "share", "28 days", INTERACTIONS),
        Feature("item_value_mean", "mean value of an interaction", "value", EVER, INTERACTIONS),
        Feature("item_age_days", "time since the first interaction", "days", NOW, INTERACTIONS),
        Feature("item_idle_days", "time since the last interaction", "days", NOW, INTERACTIONS),
        Feature(
            "item_trend", "users of the last week against those of four, 1 = steady", "ratio", "28 days", INTERACTIONS
        ),
    )


def values(request: Request) -> Floats:
    """Of each candidate."""
    held = request.of_items[:, : request.items.columns.index("returned")]
    of = request.of_item
    new = of("new_users_28d")
    again = of("users_28d") - new
    made = [
        of("returned") / of("users"),
        (again + 0.5) / (of("users") - new + PRIOR_USERS),
        new / (of("users_28d") + 1),
        of("value_sum") / of("value_count"),
        (request.now - of("first_at")) / SECONDS_A_DAY,
        (request.now - of("last_at")) / SECONDS_A_DAY,
        (of("users_7d") + 1) / (of("users_28d") / 4 + 1),
    ]
    return np.concatenate([held, np.stack(made, axis=1)], axis=1)
