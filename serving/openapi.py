"""What /openapi.json and /docs say beside the types: an example of each body, and what a status means.

The tests send the example requests to the server and compare its answers with the example answers.
"""

from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from serving.problems import MEDIA_TYPE, Problem

RANK_REQUEST: Final[dict[str, Any]] = {
    "user_id": "17850",
    "candidates": ["85123A", "71053", "no-such-item"],
    "limit": 2,
}
RANK_QUERY_REQUEST: Final[dict[str, Any]] = {
    "user_id": "anyone",
    "candidates": ["85123A", "71053"],
    "query": "a lantern for the garden",
}
RANK_ANSWER: Final[dict[str, Any]] = {
    "request_id": "0d9f3f0e7d0b4c0c9d0f5a3b1c2d4e5f",
    "bundle": "2011-12-09T12-50-00",
    "took_ms": 7.412,
    "degraded": [],
    "experiment": None,
    "items": [
        {
            "item_id": "71053",
            "score": 1.284,
            "rank": 1,
            "channels": ["candidates"],
            "title": "WHITE METAL LANTERN",
        },
        {
            "item_id": "85123A",
            "score": 0.317,
            "rank": 2,
            "channels": ["candidates"],
            "title": "WHITE HANGING HEART T-LIGHT HOLDER",
        },
    ],
    "unknown": ["no-such-item"],
    "filtered": [],
}

RECOMMEND_REQUEST: Final[dict[str, Any]] = {
    "user_id": "17850",
    "limit": 1,
    "exclude": ["85123A"],
    "exclude_seen": True,
    "explain": True,
}
RECOMMEND_FILTERED_REQUEST: Final[dict[str, Any]] = {
    "user_id": "17850",
    "query": "a lantern for the garden",
    "filter": "contains(title, 'LANTERN')",
    "offset": 2,
    "limit": 2,
    "deadline_ms": 30,
}
RECOMMEND_ANSWER: Final[dict[str, Any]] = {
    "request_id": "5b0c8f1e2a3d4c5b8e7f6a5d4c3b2a19",
    "bundle": "2011-12-09T12-50-00",
    "took_ms": 9.207,
    "degraded": ["text_interest: deadline", "cached_interest: 12 s old"],
    "experiment": None,
    "items": [
        {
            "item_id": "22423",
            "score": 2.051,
            "rank": 1,
            "channels": ["popular", "cooccurrence"],
            "title": "REGENCY CAKESTAND 3 TIER",
            "reasons": [
                {
                    "reason": "similar",
                    "text": "similar to CAKE STAND WHITE TWO TIER LACE, which you bought",
                    "contribution": 1.394,
                    "item_id": "21843",
                },
                {"reason": "popular", "text": "popular this week", "contribution": 0.812},
                {"reason": "base", "text": "what every item starts with", "contribution": -0.155},
            ],
        }
    ],
    "next_page": "eJyLVjJNMki2SDNMNUo0TjFJNk2ySDVPM0s0BbKNk4wSDS2VdKKVjIxMjIyVYmMBMC0Maw",
}

EXPLAIN_REQUEST: Final[dict[str, Any]] = {"user_id": "17850", "items": ["85123A", "no-such-item"]}
EXPLAIN_ANSWER: Final[dict[str, Any]] = {
    "request_id": "c41b7d0e5f6a4b8c9d0e1f2a3b4c5d6e",
    "bundle": "2011-12-09T12-50-00",
    "took_ms": 18.03,
    "degraded": [],
    "experiment": None,
    "items": [
        {
            "item_id": "85123A",
            "score": 0.317,
            "rank": 41,
            "channels": ["popular", "cooccurrence"],
            "title": "WHITE HANGING HEART T-LIGHT HOLDER",
            "reasons": [
                {"reason": "popular", "text": "popular this week", "contribution": 0.472},
                {"reason": "base", "text": "what every item starts with", "contribution": -0.155},
            ],
        }
    ],
    "unknown": ["no-such-item"],
    "filtered": [],
}

SIMILAR_REQUEST: Final[dict[str, Any]] = {
    "item_id": "85123A",
    "user_id": "17850",
    "limit": 1,
    "exclude": ["22423"],
    "filter": "contains(title, 'HEART')",
}
SIMILAR_ANSWER: Final[dict[str, Any]] = {
    "request_id": "9a1c7d52e0b84f3f8c6d2b1a0f9e8d7c",
    "bundle": "2011-12-09T12-50-00",
    "took_ms": 1.184,
    "degraded": [],
    "experiment": None,
    "items": [
        {
            "item_id": "21733",
            "score": 1.0,
            "rank": 1,
            "channels": ["text", "cooccurrence", "regression"],
            "title": "RED HANGING HEART T-LIGHT HOLDER",
        }
    ],
    "next_page": "eJyLVrJMNEw2TzE1SjVIsjBJM06zSDZLMUoyTDRIs0y1SDFPVtKJVjIyNDc2VoqNBQAteAx8",
}

LIST_PARAMETERS: Final[dict[str, Any]] = {
    "item_id": "23844",
    "user_id": "17850",
    "limit": 1,
    "offset": 0,
    "page": SIMILAR_ANSWER["next_page"],
    "exclude": ["22423", "85123A"],
    "surface": "home",
    "filter": "contains(title, 'HEART')",
    "deadline_ms": 30,
}
"""Of the addresses of both lists."""

TRENDING_REQUEST: Final[dict[str, Any]] = {"user_id": "17850", "limit": 1, "exclude": ["85123A"], "surface": "home"}
TRENDING_ANSWER: Final[dict[str, Any]] = {
    "request_id": "1f2e3d4c5b6a47889900aabbccddeeff",
    "bundle": "2011-12-09T12-50-00",
    "took_ms": 0.961,
    "degraded": [],
    "experiment": None,
    "items": [
        {
            "item_id": "23843",
            "score": 1.0,
            "rank": 1,
            "channels": ["trending", "popular"],
            "title": "PAPER CRAFT LITTLE BIRDIE",
        }
    ],
    "next_page": "eJyLVjJMM0o1TjFJNk0ySzQxt7CwtDQwSExMSkpOTklJTU1LU9KJVjIytjAxVoqNBQAz8w0K",
}

EVENT: Final[dict[str, Any]] = {
    "user_id": "17850",
    "item_id": "71053",
    "event_type": "purchase",
    "timestamp": "2011-12-09T12:50:00Z",
    "event_id": "581587-71053",
    "request_id": "0d9f3f0e7d0b4c0c9d0f5a3b1c2d4e5f",
    "value": 3.39,
}
EVENT_BATCH: Final[dict[str, Any]] = {
    "events": [EVENT, {"user_id": "17850", "item_id": "22423", "event_type": "purchase"}]
}
EVENTS_ANSWER: Final[dict[str, Any]] = {
    "results": [
        {"status": "stored", "event_id": "581587-71053"},
        {"status": "stored", "event_id": "8c1e0f4a5b6d4e7f9a0b1c2d3e4f5a6b"},
    ]
}

ITEM: Final[dict[str, Any]] = {
    "item_id": "23843",
    "title": "PAPER CRAFT LITTLE BIRDIE",
    "category": "crafts",
    "price": 2.08,
}
ITEM_BATCH: Final[dict[str, Any]] = {"items": [ITEM, {"item_id": "23844", "title": "PAPER CRAFT LITTLE OWL"}]}
ITEMS_ANSWER: Final[dict[str, Any]] = {
    "results": [{"status": "stored", "item_id": "23843"}, {"status": "stored", "item_id": "23844"}]
}
DELETED: Final[dict[str, Any]] = {"status": "deleted", "item_id": "23843"}

USER: Final[dict[str, Any]] = {"user_id": "17850", "country": "United Kingdom", "age": 41}
USER_BATCH: Final[dict[str, Any]] = {"users": [USER, {"user_id": "13047", "country": "France"}]}
USERS_ANSWER: Final[dict[str, Any]] = {
    "results": [{"status": "stored", "user_id": "17850"}, {"status": "stored", "user_id": "13047"}]
}
USER_DELETED: Final[dict[str, Any]] = {"status": "deleted", "user_id": "17850"}
FORGOTTEN_ANSWER: Final[dict[str, Any]] = {
    "status": "forgotten",
    "removed": {
        "interactions": 312,
        "impressions": 41,
        "users": 1,
        "features": 3,
        "shadows": 0,
        "exported": 353,
        "online": 3,
    },
    "left": ["bundles", "cache", "features", "tables"],
}

BUNDLES_ANSWER: Final[dict[str, Any]] = {
    "serving": "online-retail-20111125-37c12139",
    "refused": None,
    "bundles": [
        {
            "bundle_id": "online-retail-20111125-37c12139",
            "champion": True,
            "previous": False,
            "created_at": "2011-12-09T12:50:00Z",
            "trained_until": "2011-11-25T00:00:00Z",
            "metric": "ndcg@10",
            "value": 0.3887,
            "forgotten_users": 0,
            "problem": None,
        }
    ],
}
PROMOTED_ANSWER: Final[dict[str, Any]] = {
    "champion": "online-retail-20111125-37c12139",
    "previous": "online-retail-20111125-596cb6c2",
}

METARANK_RANKING: Final[dict[str, Any]] = {
    "id": "81f46c34-a4bb-469c-8708-f8127cd67d27",
    "timestamp": "1599391467000",
    "user": "user1",
    "session": "session1",
    "fields": [{"name": "query", "value": "jeans"}, {"name": "source", "value": "search"}],
    "items": [
        {"id": "item3", "fields": [{"name": "relevancy", "value": 2.0}]},
        {"id": "item1", "fields": [{"name": "relevancy", "value": 1.0}]},
        {"id": "item2", "fields": [{"name": "relevancy", "value": 0.1}]},
    ],
}
METARANK_RANK_ANSWER: Final[dict[str, Any]] = {
    "took": 5,
    "items": [
        {"item": "item2", "score": 2.0},
        {"item": "item3", "score": 1.0},
        {"item": "item1", "score": 0.5},
    ],
}
METARANK_INTERACTION: Final[dict[str, Any]] = {
    "event": "interaction",
    "id": "0f4c0036-04fb-4409-b2c6-7163a59f6b7d",
    "ranking": "81f46c34-a4bb-469c-8708-f8127cd67d27",
    "timestamp": "1599391467000",
    "user": "user1",
    "session": "session1",
    "type": "purchase",
    "item": "item1",
    "fields": [{"name": "count", "value": 1}, {"name": "shipping", "value": "DHL"}],
}
METARANK_ITEM: Final[dict[str, Any]] = {
    "event": "item",
    "id": "81f46c34-a4bb-469c-8708-f8127cd67d27",
    "timestamp": "1599391467000",
    "item": "item1",
    "fields": [
        {"name": "title", "value": "You favourite cat"},
        {"name": "color", "value": ["white", "black"]},
        {"name": "is_cute", "value": True},
    ],
}
METARANK_FEEDBACK_ANSWER: Final[dict[str, Any]] = {"accepted": 1, "status": "ok", "tookMillis": 3, "updated": 0}

PROBLEM: Final[dict[str, Any]] = {
    "title": "Bad Request",
    "status": 400,
    "detail": "$.candidates: Expected `array` of length >= 1",
    "path": "$.candidates",
}


def answered(answer: type, example: dict[str, Any]) -> ResponseSpec:
    """A route that succeeds."""
    return ResponseSpec(answer, description="Done", generate_examples=False, examples=[Example(value=example)])


REFUSED: Final = ResponseSpec(
    Problem,
    description="The body or a parameter is not as described here; path is the field to blame",
    media_type=MEDIA_TYPE,
    generate_examples=False,
    examples=[Example(value=PROBLEM)],
)
IMPOSSIBLE: Final = ResponseSpec(
    Problem,
    description="The request is as described here, but asks for what this project does not have or allow; path is the "
    "field to blame, and the detail says what there is",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
NOT_READY: Final = ResponseSpec(
    Problem, description="The engine is still loading", media_type=MEDIA_TYPE, generate_examples=False
)
UNAVAILABLE: Final = ResponseSpec(
    Problem,
    description="The engine is still loading, or the event log cannot be written; send it again",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
NO_SUCH_ITEM: Final = ResponseSpec(
    Problem, description="The catalogue does not have the item", media_type=MEDIA_TYPE, generate_examples=False
)
NOT_STORED: Final = ResponseSpec(
    Problem,
    description="The event log cannot be written; nothing of the request is stored, send it again",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
NOT_FORGOTTEN: Final = ResponseSpec(
    Problem,
    description="A place could not be written; that the user is to be forgotten is noted, send it again",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
NOT_FOUND: Final = ResponseSpec(
    Problem,
    description="There is no id in the address, or this server has no project to forget in",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
STORE_DOWN: Final = ResponseSpec(
    Problem,
    description="The object store of the bundles does not answer; the champion stays",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
NO_SUCH_BUNDLE: Final = ResponseSpec(
    Problem, description="There is no such bundle", media_type=MEDIA_TYPE, generate_examples=False
)
NOT_PROMOTED: Final = ResponseSpec(
    Problem,
    description="The bundle is not whole, or of another version, or there is none to go back to; the champion stays",
    media_type=MEDIA_TYPE,
    generate_examples=False,
)
