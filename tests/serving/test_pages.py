import zlib
from base64 import urlsafe_b64encode

import pytest

from serving.pages import MAX_BYTES, Page, PageError


def test_a_token_says_what_was_shown():
    page = Page("r1", ("a", "b/c", "ü"))
    assert Page.of_token(page.token()) == page
    assert page.token().replace("-", "").replace("_", "").isalnum()


def test_an_item_that_a_token_names_twice_was_shown_once():
    assert Page.of_token(Page("r1", ("a", "b", "a")).token()).shown == ("a", "b")


def test_a_token_of_a_full_answer_is_some_kilobytes():
    assert len(Page("5b0c8f1e2a3d4c5b8e7f6a5d4c3b2a19", tuple(map(str, range(10_000, 12_000)))).token()) < 8_000


BOMB = zlib.compress(b"[" + b" " * (MAX_BYTES + 1) + b'"r", []]')


@pytest.mark.parametrize(
    "token",
    ["", "x", "é", "AAAA", Page("r1", ("a",)).token()[:-4], *(urlsafe_b64encode(one).decode() for one in (
        zlib.compress(b"[1, 2]"), zlib.compress(b"null"), zlib.compress(b"[" * 100_000), zlib.compress(b"\xff"), BOMB
    ))],
)  # fmt: skip
def test_what_is_no_token_is_refused(token):
    with pytest.raises(PageError, match="expected the next_page of one, unchanged"):
        Page.of_token(token)
