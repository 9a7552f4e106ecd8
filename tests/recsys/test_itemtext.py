import polars as pl
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from recsys.errors import ConfigError, DataError
from recsys.itemtext import ItemText

WORDS = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
WORDS.pre_tokenizer = Whitespace()
"""A token is a word, or a run of punctuation."""

ITEMS = pl.DataFrame(
    {
        "title": ["Red   mug", "\ufb01ne \u00bd", "x", None],
        "description": [" for\ntea ", None, "  ", "y\x00z"],
        "price": [1.5, None, 2.0, None],
    }
)


def test_blank_columns_are_left_out_with_what_stands_before_them():
    texts = ItemText("{title}. {description} costs {price}", {}, WORDS).of_table(ITEMS)
    assert texts == ["Red mug. for tea costs 1.5", "fine 1\u20442", "x costs 2.0", "y z"]


def test_an_item_alone_reads_as_it_does_in_a_table():
    reader = ItemText("{title}. {description} costs {price}", {"description": 1}, WORDS)
    assert [reader.of_item(row) for row in ITEMS.iter_rows(named=True)] == reader.of_table(ITEMS)


def test_a_column_is_cut_after_its_own_number_of_tokens():
    reader = ItemText("{title}. {description}", {"title": 2}, WORDS)
    assert reader.of_item({"title": "one two three", "description": "four five six"}) == "one two. four five six"


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"expected \['body'\]; correct template under \[text\]"):
        ItemText("{title} {body}", {}, WORDS).of_table(ITEMS)


@pytest.mark.parametrize(
    ("template", "limits", "message"),
    [
        ("no column", {}, "names no column"),
        ("{title", {}, "expected such as"),
        ("{title}", {"titel": 3}, r"limits \['titel'\]"),
    ],
)
def test_a_template_that_cannot_be_read_is_refused(template, limits, message):
    with pytest.raises(ConfigError, match=message):
        ItemText(template, limits, WORDS)
