import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsys.errors import DataError
from recsys.importing import import_command, import_tables
from recsys.sources import jsonlines
from recsys.workspace import Workspace
from tests.recsys.project import column, project_of, refusals

TYPES = "like = { label = true }\nrating = { weight = 0.2 }"
# The examples of the publication in the layout of its files, with the pictures cut short.
REVIEW = {
    "rating": 3.0,
    "helpful_vote": 0,
    "title": "Meh",
    "text": "These were lightweight and soft but much too small for my liking.",
    "images": [{"small_image_url": "https://m.media-amazon.com/images/I/81FN4c0VHzL._SL256_.jpg"}],
    "asin": "B088SZDGXG",
    "verified_purchase": True,
    "parent_asin": "B08BBQ29N5",
    "user_id": "AEYORY2AVPMCPDV57CE337YU5LXA",
    "timestamp": 1634275259292,
}
PRODUCT = {
    "main_category": "All Beauty",
    "title": "Yes to Tomatoes Detoxifying Charcoal Cleanser (Pack of 2)",
    "average_rating": 4.5,
    "rating_number": 3,
    "features": [],
    "description": [],
    "price": None,
    "images": [{"thumb": "https://m.media-amazon.com/images/I/41BuaPQuxpL._SS40_.jpg"}],
    "videos": [],
    "store": "Yes To",
    "categories": [],
    "details": {"Item Form": "Powder", "Skin Type": "Acne Prone", "Brand": "Yes To"},
    "parent_asin": "B08BBQ29N5",
    "bought_together": None,
}


def texts(*rows: dict[str, Any] | str) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


def amazon(root: Path, reviews: bytes, products: bytes | None = None, ending: str = ".jsonl") -> Workspace:
    paths = {"format": "amazon_reviews", "interactions": f"All_Beauty{ending}"}
    (root / paths["interactions"]).write_bytes(reviews)
    if products is not None:
        paths["items"] = f"meta_All_Beauty{ending}"
        (root / paths["items"]).write_bytes(products)
    return project_of(root, paths, types=TYPES)


@pytest.mark.parametrize(("ending", "packed"), [(".jsonl", bytes), (".jsonl.gz", gzip.compress)])
def test_reviews_and_products_are_imported_packed_or_not(tmp_path, ending, packed):
    workspace = amazon(tmp_path, packed(texts(REVIEW, REVIEW | {"rating": 4.0})), packed(texts(PRODUCT)), ending)
    result = CliRunner().invoke(import_command, ["--config", str(tmp_path / "recsys.toml")])
    assert result.exit_code == 0, result.output
    log = workspace.read_table("interactions").drop("event_id", "request_id", "query")
    at = datetime(2021, 10, 15, 5, 20, 59, 292000, tzinfo=UTC)
    user, item = "AEYORY2AVPMCPDV57CE337YU5LXA", "B08BBQ29N5"
    assert log.rows() == [(user, item, "rating", at, 3.0), (user, item, "like", at, 4.0)]
    assert workspace.read_table("items").row(0, named=True) == {
        "item_id": "B08BBQ29N5",
        "title": "Yes to Tomatoes Detoxifying Charcoal Cleanser (Pack of 2)",
        "description": None,
        "category": "All Beauty",
        "brand": "Yes To",
        "price": None,
        "published_at": None,
        "updated_at": None,
        "main_category": "All Beauty",
        "features": None,
    }


def test_texts_are_joined_the_narrowest_category_counts_and_prices_are_found_in_text(tmp_path):
    told = {
        "features": ["Soft", "Warm"],
        "description": ["Two.", "Parts."],
        "categories": ["Beauty & Personal Care", "Skin Care", "Face"],
    }
    prices = [12.5, "from 13.99", "1,299.00", "—", None]
    products = [PRODUCT | told | {"parent_asin": f"B{at}", "price": price} for at, price in enumerate(prices)]
    # Where one product has a text, the lists of the others come as JSON.
    products.append(PRODUCT | {"parent_asin": "B5", "description": "One text.", "features": ["Soft"]})
    workspace = amazon(tmp_path, texts(REVIEW | {"parent_asin": "B0"}), texts(*products))
    import_tables(workspace)
    assert column(workspace, "items", "price") == [12.5, 13.99, 1299.0, None, None, None]
    assert column(workspace, "items", "description") == ["Two. Parts."] * 5 + ["One text."]
    assert column(workspace, "items", "features") == ["Soft Warm"] * 5 + ["Soft"]
    assert column(workspace, "items", "category") == ["Face"] * 5 + ["All Beauty"]


def test_broken_lines_are_put_aside_with_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonlines, "BLOCK_BYTES", 64)
    reviews = texts(
        REVIEW,
        '{"rating": 5.0, "title": ',
        {name: value for name, value in REVIEW.items() if name != "user_id"},
        REVIEW | {"rating": "good"},
        REVIEW | {"parent_asin": "B000000000"},
        REVIEW | {"timestamp": None},
    )
    workspace = amazon(tmp_path, reviews, texts(PRODUCT, PRODUCT, PRODUCT | {"parent_asin": "B1", "title": ""}))
    import_tables(workspace)
    found = refusals(workspace, "interactions")
    assert found[0][0] == 2
    assert found[1:] == [
        (3, "missing user_id"),
        (4, "unreadable value"),
        (5, "unknown item_id"),
        (6, "missing timestamp"),
    ]
    assert refusals(workspace, "items") == [(2, "duplicate item_id and updated_at"), (3, "missing title")]


def test_reviews_alone_make_items_of_their_ids(tmp_path):
    workspace = amazon(tmp_path, texts(REVIEW))
    import_tables(workspace)
    assert workspace.read_table("items").select("item_id", "title").rows() == [("B08BBQ29N5", "B08BBQ29N5")]


def test_a_damaged_archive_is_an_error_that_names_the_file(tmp_path):
    packed = gzip.compress(texts(*[REVIEW] * 50))
    for damaged in (packed[:-20], b"plain"):
        with pytest.raises(DataError, match=r"All_Beauty\.jsonl\.gz: .*; expected a whole, readable file"):
            import_tables(amazon(tmp_path, damaged, ending=".jsonl.gz"))
