import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.rules.columns import of_table, types_of
from recsys.rules.expression import ExpressionError, condition

ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c"],
        "title": ["Red cup", "Blue cup", "Lamp"],
        "price": [10.0, 60.0, None],
        "category": ["gift", None, "home"],
        "in_stock": [True, False, None],
        "size": [1, 2, 3],
        "published_at": pl.Series(["2024-01-01T00:00:00", "2025-01-01T00:00:00", None]).str.to_datetime(
            time_unit="us", time_zone="UTC"
        ),
        "Unit price": [1.0, 2.0, 3.0],
    }
)
TYPES = types_of(ITEMS)


def meet(text: str) -> str:
    """The ids of the items that meet a condition."""
    rows = of_table(ITEMS, TYPES)
    return "".join(rows.filter(condition(text, TYPES))["item_id"])


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("price < 50", "a"),
        ("10 <= price < 60", "a"),
        ("price * 2 - size > 100 or -size == -3", "bc"),
        ("category == 'gift'", "a"),
        ("title in ['Lamp', \"Red cup\"]", "ac"),
        ("size in (1, 3)", "ac"),
        ("not (price < 50 and category == 'gift')", "bc"),
        ("is_null(price) or is_null(category)", "bc"),
        ("contains(title, 'cup') and not starts_with(title, 'Red')", "b"),
        ("contains(title, '.')", ""),
        ("in_stock", "a"),
        ("in_stock == false", "b"),
        ("published_at > '2024-06-30'", "b"),
        ("'2024-01-01T01:00:00+01:00' == published_at", "a"),
        ("col('Unit price') > 1", "bc"),
        ("item_id != 'a'\nand size < 3", "b"),
    ],
)
def test_a_condition_is_met_by_the_items_of_which_it_is_true(text, items):
    assert meet(text) == items


def test_what_an_item_does_not_say_is_different_from_everything_and_nothing_else():
    assert meet("category != 'gift'") == "bc"
    assert meet("category not in ['gift']") == "bc"
    assert meet("not category == 'gift'") == "bc"
    assert meet("price < 50 or price >= 50") == "ab"
    assert meet("in_stock") + meet("not in_stock") == "abc"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("prise < 50", "character 1, prise", r"no column 'prise'; they have \[.*'price'"),
        ("size < 2 and prise < 50", "character 14, prise", "no column"),
        ("contains(title, 'ä') and prise < 50", "character 26, prise", "no column"),
        ("price = 50", "character 7", "invalid syntax; .* with == != <"),
        ("price < '50'", "character 9, '50'", "found text, expected a number"),
        ("category == 5", "character 13, 5", "found a number, expected text"),
        ("price", "character 1, price", "found a number, expected true or false"),
        ("published_at > 'spring'", "character 16, 'spring'", "expected a time such as '2024-05-01'"),
        ("category in 'gift'", "character 13, 'gift'", "expected a list behind `in`"),
        ("category in []", "character 13", "expected a list behind `in`"),
        ("len(title) > 3", r"character 1, len\(title\)", "no such function; expected one of is_null"),
        ("title.upper == 'A'", "character 1, title.upper", "this is not understood; expected columns"),
        ("size is 1", "character 9, 1", "this comparison is not understood"),
        ("", "character", "expected columns"),
        ("true", "'true'", "the same of every item"),
        ("(" * 300 + "size < 1" + ")" * 300, "", "too many nested parentheses; expected columns"),
        ("not " * 60 + "size < 1", "character 201", "nested more than 50 deep"),
        ("-" * 1900 + "size < 1", "", "nested more than 50 deep|nested too deep"),
        ("size < 1" + "0" * 400, "", "a number too large"),
        ("size < " + "1" * 2000, "", "2007 characters; expected at most 2000"),
    ],
)
def test_a_condition_that_does_not_fit_says_where_and_what_was_expected(text, place, reason):
    with pytest.raises(ExpressionError, match=f"(?s){place}.*{reason}"):
        condition(text, TYPES)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('true') == 0", "(lambda: size)() < 1", "[s for s in size] == 1", "f'{size}' == '1'"],
)
def test_nothing_runs_as_python(text):
    with pytest.raises(ExpressionError, match="not understood"):
        condition(text, TYPES)


def test_without_columns_only_the_form_is_checked():
    condition("anything < 5 and other == 'x'")
    with pytest.raises(ExpressionError, match="no such function"):
        condition("anything(5) < 5")


NAMES = ["price", "title", "in_stock", "published_at", "nothing", "is_null", "contains", "col"]
SIGNS = "5 'x' < == in not and or ( ) [ ] , - * \\ ' { = :"
words = st.sampled_from([*NAMES, *SIGNS.split(" "), "\n", "0x", "1e999", "ä"])


@given(st.lists(words, max_size=12).map(" ".join) | st.text(max_size=30))
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_a_condition_of_every_item_or_an_error_that_says_why(text):
    try:
        found = condition(text, TYPES)
    except ExpressionError:
        return
    met = of_table(ITEMS, TYPES).select(found).to_series()
    assert (met.dtype, len(met), met.null_count()) == (pl.Boolean, 3, 0)
