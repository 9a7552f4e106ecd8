"""What a text model adds to the matrix. It is computed in recsys.interest, features.standing and features.topics."""

from typing import Final

from features.families.family import NOW, Feature

TEXT: Final = "text model"
LIKE: Final = "text model and interactions"

SIGNAL_MEANINGS: Final = (
    Feature("text_interest", "interest by text, with the query where there is one", "0 to 1", NOW, TEXT),
    Feature("text_nearest", "the same of the item of the history that is nearest", "0 to 1", NOW, TEXT),
    Feature("text_last_occasion", "the same of the latest occasion alone", "0 to 1", NOW, TEXT),
    Feature("text_query", "nearness to the query, 0 without one", "0 to 1", NOW, TEXT),
    Feature("text_close", "items of the history that are close", "items", NOW, TEXT),
)
"""Behind them, where several interaction types are labels, `text_interest_LABEL` for each."""

STANDING_MEANINGS: Final = (
    Feature("text_interest_z", "the interest against that in other items", "standard deviations", NOW, TEXT),
    Feature("text_popular_z", "the interest and log popularity, likewise", "standard deviations", NOW, LIKE),
)
TOPIC_MEANINGS: Final = (
    Feature("topic_users_28d", "distinct users of the like items, mean", "users", "28 days", LIKE),
    Feature("topic_trend", "users of the last week against those of four, 1 = steady", "ratio", "28 days", LIKE),
    Feature("users_against_topic", "own users against those of the like items", "logarithm", "28 days", LIKE),
    Feature("topic_cooccurrence", "strength between the like items and the history", "strength", "ever", LIKE),
    Feature("topic_times_chosen", "occasions with the like items, mean", "occasions", "ever", LIKE),
    Feature("topic_share_of_choices", "the same of all that the user chose", "share", "ever", LIKE),
    Feature("topic_chosen_28d", "like items that the user chose", "share", "28 days", LIKE),
    Feature("topic_recency", "of the like items: 1 = chosen now, 1/e = a month ago", "0 to 1", NOW, LIKE),
    Feature("topic_last_occasion", "like items that were chosen on the latest occasion", "share", NOW, LIKE),
    Feature("topic_successors", "what the history says of the like items' being chosen next", "interest", "ever", LIKE),
)
