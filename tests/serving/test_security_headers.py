import base64
import hashlib
import re

import msgspec
import pytest

from recsys.config import Security
from serving.security_headers import SECURITY_HEADERS
from tests.serving.keyed import add_key, bearer, keyed_client

RANK = {"user_id": "u", "candidates": ["b", "a"]}
SHOP = "https://shop.example"


def test_every_answer_has_them_and_none_is_kept_by_a_cache(tmp_path):
    with keyed_client(tmp_path) as (client, file):
        key = bearer(add_key(file))
        answers = [
            client.post("/v1/rank", json=RANK, headers=key),
            client.post("/v1/rank", json=RANK),
            client.post("/v1/rank", json={}, headers=key),
            client.get("/v1/rank", headers=key),
            client.get("/nothing"),
            client.get("/docs"),
            client.get("/openapi.json"),
            client.get("/livez"),
            client.get("/metrics", headers=key),
            client.options("/v1/rank"),
        ]
    assert [answer.status_code for answer in answers] == [200, 401, 400, 405, 404, 200, 200, 200, 200, 204]
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers.get_list(name) == [value], answer.url
    assert (answers[0].headers["cache-control"], answers[0].headers["x-frame-options"]) == ("no-store", "DENY")


def test_the_page_of_the_documentation_holds_nothing_that_its_policy_forbids(tmp_path):
    with keyed_client(tmp_path) as (client, _):
        page = client.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    styles = re.findall(r"<style>(.*?)</style>", page.text, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    assert [f"'sha256-{hash_}'" for hash_ in hashes] == [policy["style-src"]]
    assert policy["default-src"] == "'none'"
    assert re.findall(r'<link rel="icon" href="(\w+:)', page.text) == [policy["img-src"]]
    assert not re.search(r"<script|<img|<iframe|<form| style=| on\w+=", page.text)


def test_pages_of_other_origins_may_ask_nothing_unless_recsys_toml_names_them(tmp_path):
    asks = {"origin": SHOP, "access-control-request-method": "POST"}
    with keyed_client(tmp_path) as (client, file):
        key = bearer(add_key(file))
        assert not cors_headers(client.options("/v1/rank", headers=asks))
        assert not cors_headers(client.post("/v1/rank", json=RANK, headers=key | {"origin": SHOP}))


def test_pages_of_an_origin_that_is_named_may_ask_with_a_key(tmp_path):
    asks = {
        "origin": SHOP,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    }
    with keyed_client(tmp_path, cors_origins=[SHOP]) as (client, file):
        key = bearer(add_key(file))
        preflight = client.options("/v1/rank", headers=asks)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, SHOP)
        answer = client.post("/v1/rank", json=RANK, headers=key | {"origin": SHOP})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SHOP)
        assert client.post("/v1/rank", json=RANK, headers={"origin": SHOP}).status_code == 401
        for other in ("https://shop.example.com", "https://shopxexample", "http://shop.example"):
            assert client.options("/v1/rank", headers=asks | {"origin": other}).status_code == 400
            refused = client.post("/v1/rank", json=RANK, headers=key | {"origin": other})
            assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("origin", ["*", "https://*.example", "shop.example", "https://shop.example/", "https://a b"])
def test_an_origin_is_a_scheme_and_a_host(origin):
    with pytest.raises(msgspec.ValidationError, match="expected scheme://host"):
        msgspec.toml.decode(f'cors_origins = ["{origin}"]', type=Security)


def cors_headers(answer):
    return [name for name in answer.headers if name.startswith("access-control-")]
