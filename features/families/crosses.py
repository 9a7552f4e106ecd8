"""A candidate against the history of the user: how often and when it was chosen, and how it fits otherwise."""

from typing import Final

import numpy as np

from features.families.family import EVER, NOW, Feature, Project, Request
from features.families.user import value_deviation, value_mean
from recsys.state import SECONDS_A_DAY, Floats, UserState

SOURCE: Final = "history"
DECAY_HALF_LIVES_DAYS: Final = (30, 90, 180)
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
        *(
            Feature(f"times_chosen_decayed_{days}d", "occasions, each halved in so long", "occasions", EVER, SOURCE)
            for days in DECAY_HALF_LIVES_DAYS
        ),
        Feature("occasions_since", "later occasions on which the user chose others last", "occasions", EVER, SOURCE),
        Feature("cooccurrence_sum", "strength between it and the history: sum", "strength", EVER, "co-occurrence"),
        Feature("cooccurrence_max", "strength between it and the history: maximum", "strength", EVER, "co-occurrence"),
        Feature("cooccurrence_last_occasion", "sum over the latest occasion", "strength", EVER, "co-occurrence"),
        Feature("regression_score", "what all that the user chose says of it, decayed", "interest", EVER, "regression"),
        Feature("successor_score", "the same of its being chosen next", "interest", EVER, "successors"),
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
        *(of_history(of_half_life, 0.0) for of_half_life in _decayed(user, request.now)),
        of_history(_occasions_since(user)),
        *(strength[request.candidates] for strength in request.cooccurrence),
        request.from_history.regression[request.candidates],
        request.from_history.successors[request.candidates],
    ]
    return np.stack(columns, axis=1)


def _decayed(user: UserState, now: float) -> Floats:
    """Occasions with each item of the history, each halved by its age, as if they lay evenly between first and last.

    float64 (half-lives, h): with q the decay over a gap, what is left of the last one × (1 + q + … + q to the
    occasions - 1).
    """
    half_life_days = np.array(DECAY_HALF_LIVES_DAYS)[:, None]
    span_days = (user.last_at - user.first_at) / SECONDS_A_DAY
    kept = 0.5 ** (span_days / np.maximum(user.occasions - 1, 1) / half_life_days)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.where(kept < 1, (1 - kept**user.occasions) / (1 - kept), user.occasions)
    # A clock that runs ahead dates an event after now.
    left: Floats = 0.5 ** (np.maximum(now - user.last_at, 0) / SECONDS_A_DAY / half_life_days)
    return left * sums


def _occasions_since(user: UserState) -> Floats:
    """On how many later occasions some item of the history was chosen last: float64 (h,)."""
    _, place = np.unique(-user.last_at, return_inverse=True)
    return place.astype(np.float64)
