"""The client of a recsys server, for product services.

    from recsys.client import Event, RecsysClient

    client = RecsysClient("https://recsys.example", key=os.environ["RECSYS_KEY"])
    answer = client.rank("17850", ["85123A", "71053"])
    client.send_events([Event("17850", answer.items[0].item_id, "click", request_id=answer.request_id)])

Needs msgspec and the standard library alone; it is imported in some hundredths of a second. docs/api.md has more.
"""

from recsys.client.answers import (
    Answer,
    AnswerItem,
    EventResult,
    Filtered,
    ForgetResult,
    ItemResult,
    PagedAnswer,
    RankAnswer,
    Reason,
    RecommendAnswer,
    UserResult,
)
from recsys.client.client import RecsysClient
from recsys.client.errors import ClientError, Problem, ProblemError, UnreachableError
from recsys.client.event import Event
from recsys.client.retries import Retries

__all__ = [
    "Answer",
    "AnswerItem",
    "ClientError",
    "Event",
    "EventResult",
    "Filtered",
    "ForgetResult",
    "ItemResult",
    "PagedAnswer",
    "Problem",
    "ProblemError",
    "RankAnswer",
    "Reason",
    "RecommendAnswer",
    "RecsysClient",
    "Retries",
    "UnreachableError",
    "UserResult",
]
