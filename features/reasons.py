"""Why an item stands where it does, in words: which reason each feature belongs to, and what can be said of it.

A reason has two phrases. `about` says what was looked at and is true of any item. The claim says more, and is made only
where it speaks for the item and the features bear it out.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Final, NamedTuple

from features.families import (
    FAMILIES,
    affinity,
    attribute,
    context,
    crosses,
    exposure,
    item,
    profile,
    ranks,
    session,
    user,
)
from features.featureset import FeatureSet


class Reason(NamedTuple):
    """`name` is for programs, `about` for people."""

    name: str
    about: str


REPEAT: Final = Reason("repeat", "how often and when you chose it before")
TOGETHER: Final = Reason("together", "how it goes with what you chose")
SIMILAR: Final = Reason("similar", "how like it is to what you chose")
CATEGORY: Final = Reason("category", "its category among those that you choose")
QUERY: Final = Reason("query", "how close it is to your query")
POPULAR: Final = Reason("popular", "how many choose it")
TREND: Final = Reason("trend", "how the demand for it changes")
NEW: Final = Reason("new", "how long it has been here")
RETURNS: Final = Reason("returns", "how many come back to it")
SHOWN: Final = Reason("shown", "how often it was shown, and chosen then")
LIKE_ITEMS: Final = Reason("like_items", "how the demand for items like it is")
PRICE: Final = Reason("price", "its price against what you usually pay")
ATTRIBUTES: Final = Reason("attributes", "what is known of it by itself")
USER: Final = Reason("user", "what is known of you")
SESSION: Final = Reason("session", "what you have been doing just now")
MOMENT: Final = Reason("moment", "the time of the day and of the week")
PLACE: Final = Reason("place", "its place among what is popular and what is new")
OTHER: Final = Reason("other", "other things that are known")
BASE: Final = Reason("base", "what every item starts with")

OF_FAMILY: Final[Mapping[ModuleType, Reason]] = {
    item: POPULAR,
    attribute: ATTRIBUTES,
    exposure: SHOWN,
    user: USER,
    profile: USER,
    session: SESSION,
    context: MOMENT,
    crosses: REPEAT,
    affinity: CATEGORY,
    ranks: POPULAR,
}
OF_FEATURE: Final[Mapping[str, Reason]] = {
    name: reason
    for reason, names in (
        (TREND, ("item_trend", "item_idle_days")),
        (NEW, ("item_age_days", "item_published_at_days", "item_new_users_7d", "item_new_users_28d")),
        (NEW, ("item_new_share_28d",)),
        (RETURNS, ("item_repeat_share", "item_again_28d")),
        (PRICE, ("item_value_mean", "item_price", "price_fit", "value_fit", "value_z")),
        (REPEAT, ("session_times_chosen",)),
        (TOGETHER, ("cooccurrence_sum", "cooccurrence_max", "cooccurrence_last_occasion", "cooccurrence_rank")),
        (TOGETHER, ("regression_score", "successor_score", "topic_cooccurrence", "topic_successors")),
        (QUERY, ("text_query",)),
        (POPULAR, ("text_popular_z",)),
        (LIKE_ITEMS, ("topic_users_28d", "topic_trend", "users_against_topic")),
    )
    for name in names
}
"""Those that are not what the rest of their family is; of what the text model adds the rest is SIMILAR."""

VERBS: Final[Mapping[str, str]] = {
    "purchase": "bought",
    "buy": "bought",
    "order": "ordered",
    "click": "clicked",
    "view": "viewed",
    "cart": "put into your cart",
    "add_to_cart": "put into your cart",
    "rate": "rated",
    "rating": "rated",
    "like": "liked",
    "save": "saved",
    "read": "read",
    "watch": "watched",
    "play": "played",
    "listen": "listened to",
}
"""What a user did, by the interaction type; of one that is not here the user "chose" the item."""


def verb_of(interaction_type: str) -> str:
    """In the past: "bought"."""
    return VERBS.get(interaction_type, "chose")


def reasons_of(features: FeatureSet, signals: Sequence[str]) -> tuple[Reason, ...]:
    """The reason of every column of the matrix, in their order."""
    of_behaviour = {
        feature.name: OF_FAMILY.get(family, OTHER)  # type: ignore[call-overload]  # a family is a module
        for family in FAMILIES
        for feature in family.features(features.project)
    }
    names = features.names(signals)
    return tuple(OF_FEATURE.get(name, of_behaviour.get(name, SIMILAR)) for name in names)
