import pytest
from litestar import Request

from serving.paths import id_in_path


@pytest.mark.parametrize(
    ("path", "after", "expected"),
    [
        ("/v1/items/a", "", "a"),
        ("/v1/items/a%2Fb//", "", "a/b//"),
        ("/v1/items/a%252F/similar", "/similar", "a%2F"),
        ("/v1/items/similar/similar", "/similar", "similar"),
        ("/v1/items/a", "/similar", None),
        ("/v1/items/", "", None),
        ("/v1/items//similar", "/similar", None),
    ],
)
def test_an_id_is_what_was_sent_between_two_parts_of_the_path(path, after, expected):
    request = Request({"type": "http", "raw_path": path.encode()})
    assert id_in_path(request, "/v1/items/", after) == expected
