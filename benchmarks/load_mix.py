"""What the clients of a busy server send: every kind of request, users and items that nobody knows among them.

The users, known or not, and the items that are sent are drawn from a fixed number of each, so that what a server keeps
of each of them is full soon. Candidates that no catalogue has are new in each request: of those it keeps nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlencode

from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.workspace import Workspace

KNOWN_USERS: Final = 400
UNKNOWN_USERS: Final = 200
UNKNOWN_SHARE: Final = 0.2
"""Of the users of all requests, and of the candidates of a ranking."""
NEW_ITEMS: Final = 50
"""That are added, and changed again and again."""
MOST_CANDIDATES: Final = 200
TITLES: Final = ("", " red", " green", " blue")
QUERIES: Final = ("a present", "something red", "for the garden", "small and cheap")

Body = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A request. body None: GET; expected: the status of its answer."""

    kind: str
    route: str
    body: bytes | None = None
    expected: int = 200


class Mix:
    """Draws one request after the other; of one client."""

    def __init__(self, users: Sequence[str], items: Sequence[Body], types: Sequence[str], seed: int) -> None:
        """items  as /v1/items takes them; types: of interactions"""
        self._random = Random(seed)  # noqa: S311
        self._users, self._items, self._types = users, items, types
        self._kinds: dict[Callable[[], Sent], int] = {
            self._rank: 40,
            self._recommend: 25,
            self._one_event: 6,
            self._similar: 8,
            self._trending: 8,
            self._explain: 5,
            self._change_item: 5,
            self._feedback: 2,
            self._mistake: 1,
        }

    def __call__(self) -> Sent:
        (kind,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        return kind()

    def _rank(self) -> Sent:
        count = self._random.randint(20, MOST_CANDIDATES)
        unknown = int(count * UNKNOWN_SHARE)
        candidates = [self._item() for _ in range(count - unknown)] + [self._never_seen() for _ in range(unknown)]
        return _post("rank", "/v1/rank", {"user_id": self._user(), "candidates": candidates, **self._query()})

    def _recommend(self) -> Sent:
        return _post("recommend", "/v1/recommend", {"user_id": self._user(), "limit": 20, **self._query()})

    def _one_event(self) -> Sent:
        return _post("events", "/v1/events", self._event())

    def _similar(self) -> Sent:
        return Sent("similar", f"/v1/items/{quote(self._item(), safe='')}/similar?{self._shown_to()}")

    def _trending(self) -> Sent:
        return Sent("trending", f"/v1/trending?{self._shown_to()}")

    def _explain(self) -> Sent:
        items = [*{self._item() for _ in range(10)}, self._never_seen()]
        return _post("explain", "/v1/explain", {"user_id": self._user(), "items": items})

    def _change_item(self) -> Sent:
        item = dict(self._random.choice(self._items))
        item["title"] += self._random.choice(TITLES)
        if self._random.random() < UNKNOWN_SHARE:
            item[ITEM_ID] = f"new-{self._random.randrange(NEW_ITEMS)}"
        return _post("items", "/v1/items", item)

    def _feedback(self) -> Sent:
        event, milliseconds = self._event(), round(datetime.now(UTC).timestamp() * 1000)
        feedback = {
            "event": "interaction",
            "id": event["event_id"],
            "timestamp": str(milliseconds),
            "user": event["user_id"],
            "type": event["event_type"],
            "item": event["item_id"],
        }
        return _post("feedback", "/compat/metarank/feedback", feedback)

    def _mistake(self) -> Sent:
        return _post("mistake", "/v1/rank", {"user_id": self._user(), "candidates": []}, expected=400)

    # What they are made of

    def _event(self) -> Body:
        known = self._random.random() >= UNKNOWN_SHARE
        return {
            "event_id": self._id(),
            "user_id": self._user(),
            "item_id": self._item() if known else f"unknown-{self._random.randrange(NEW_ITEMS)}",
            "event_type": self._random.choice(self._types),
        }

    def _user(self) -> str:
        if self._random.random() < UNKNOWN_SHARE:
            return f"unknown-{self._random.randrange(UNKNOWN_USERS)}"
        return self._random.choice(self._users)

    def _shown_to(self) -> str:
        return urlencode({"user_id": self._user(), "limit": 20})

    def _item(self) -> str:
        found: str = self._random.choice(self._items)[ITEM_ID]
        return found

    def _query(self) -> Body:
        return {"query": self._random.choice(QUERIES)} if self._random.random() < UNKNOWN_SHARE else {}

    def _never_seen(self) -> str:
        return f"never-{self._id()}"

    def _id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


def mixes_of(workspace: Workspace, clients: int) -> list[Mix]:
    """One a client, over the users and items of a project."""
    interactions = workspace.read_table("interactions").sort(TIMESTAMP, descending=True)
    users = interactions[USER_ID].unique(maintain_order=True).to_list()[:KNOWN_USERS]
    items = [
        {name: value for name, value in row.items() if isinstance(value, str | float | int)}
        for row in workspace.read_table("items").iter_rows(named=True)
    ]
    return [Mix(users, items, list(workspace.config.interaction_types), seed) for seed in range(clients)]


def _post(kind: str, route: str, body: Body, *, expected: int = 200) -> Sent:
    return Sent(kind, route, json.dumps(body).encode(), expected)
