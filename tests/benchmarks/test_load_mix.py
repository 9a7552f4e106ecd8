import json
from collections import Counter

from benchmarks.load_mix import NEW_ITEMS, UNKNOWN_USERS, Mix

ITEMS = [{"item_id": "a/b", "title": "box", "price": 2.0}, {"item_id": "c", "title": "bag", "price": 3.0}]


def mix(seed: int = 0) -> Mix:
    return Mix(["ann", "b&b"], ITEMS, ["click"], seed)


def test_every_kind_of_request_comes_about_as_often_as_it_should():
    draw = mix()
    counted = Counter(draw().kind for _ in range(5000))
    assert 0.35 < counted["rank"] / 5000 < 0.45
    assert 0.04 < counted["events"] / 5000 < 0.08
    assert set(counted) == {
        "rank", "recommend", "events", "similar", "trending", "explain", "items", "feedback", "mistake"
    }  # fmt: skip


def test_the_same_seed_sends_the_same():
    one, other, third = mix(1), mix(1), mix(2)
    drawn = [[draw().route for _ in range(50)] for draw in (one, other, third)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_users_and_items_are_drawn_from_a_fixed_number_and_candidates_nobody_has_are_new_each_time():
    draw, users, items, never = mix(), set(), set(), []
    for sent in (draw() for _ in range(40_000)):
        body = {} if sent.body is None else json.loads(sent.body)
        users |= {body["user_id"]} if "user_id" in body else set()
        items |= {body["item_id"]} if sent.kind in ("items", "events") else set()
        never += [item for item in body.get("candidates", []) if item.startswith("never-")]
    assert users == {"ann", "b&b", *(f"unknown-{at}" for at in range(UNKNOWN_USERS))}
    assert len(items) == len(ITEMS) + 2 * NEW_ITEMS
    assert len(never) == len(set(never)) > 1000


def test_ids_with_signs_of_an_address_go_well_into_one():
    routes = [sent.route for sent in (draw() for draw in [mix()] * 2000) if sent.kind == "similar"]
    assert {route.partition("?")[0] for route in routes} == {"/v1/items/a%2Fb/similar", "/v1/items/c/similar"}
    assert any("user_id=b%26b" in route for route in routes)
