import re
from pathlib import Path

import msgspec

from recsys import config
from recsys.config_docs import render

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_document_is_up_to_date():
    text = DOCUMENT.read_text("utf-8")
    assert text == render(), "python -m recsys.config_docs > docs/configuration.md"


def test_every_key_of_every_class_has_a_row():
    classes = [kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, config.Stage)]
    keys = {field.encode_name for kind in classes for field in msgspec.structs.fields(kind)}
    headings = set(re.findall(r"^## \[(\w+)", render(), flags=re.MULTILINE))
    assert keys == set(re.findall(r"^\| `(\w+)` \|", render(), flags=re.MULTILINE)) | headings


def test_a_row_says_what_is_allowed_the_default_and_the_meaning():
    share = "More refused rows than this share of any one table end the import with exit code 2."
    assert f"| `max_bad_share` | number ≥ 0 and ≤ 1 | `0.05` | {share} |" in render()
    assert "| `port` | whole number ≥ 0 and ≤ 65535 | `8000` |" in render()
    assert '| `format` | `"amazon_reviews"` or `"files"` or' in render()
    assert re.search(r"^\| `name` \| text \|  \|", render(), flags=re.MULTILINE)
