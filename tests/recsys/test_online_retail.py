from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue import Catalogue
from recsys.errors import DataError
from recsys.importing import import_tables
from recsys.importsummary import ImportSummary
from recsys.sources.online_retail import OnlineRetail, item_versions
from recsys.workspace import Workspace
from tests.recsys.project import column, project_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "online_retail" / "online_retail.parquet"
PURCHASE = "purchase = { label = true }"
START = datetime(2011, 1, 1, tzinfo=UTC)


def invoices(*lines: tuple) -> pl.DataFrame:
    """Raw lines: invoice, stock code, description, quantity, minute, price, customer."""
    schema = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    return pl.DataFrame(lines, schema=schema, orient="row").with_columns(
        InvoiceDate=pl.datetime(2011, 1, 1) + pl.duration(minutes="InvoiceDate"),
        CustomerID=pl.col("CustomerID").cast(pl.Float64),
        Country=pl.lit("France"),
    )


def imported(folder: Path, raw: pl.DataFrame) -> tuple[Workspace, ImportSummary]:
    raw.write_parquet(folder / "retail.parquet")
    workspace = project_of(folder, {"format": "online_retail", "interactions": "retail.parquet"}, types=PURCHASE)
    return workspace, import_tables(workspace)


def test_lines_that_say_nothing_about_a_taste_are_cleaned_away_by_reason_and_not_refused(tmp_path):
    workspace, summary = imported(
        tmp_path,
        invoices(
            ("1", "12345", " MUG ", 2, 0, 1.5, 7),
            ("1", "12345a", "CUP", 1, 1, 2.0, 7),
            ("2", "12345", "MUG", 1, 2, 1.5, None),
            ("C3", "12345", "MUG", -1, 3, 1.5, 7),
            ("4", "12345", "MUG", 0, 4, 1.5, 7),
            ("5", "POST", "POSTAGE", 1, 5, 9.0, 7),
        ),
    )
    counts = summary.tables["interactions"]
    reasons = ("customer unknown", "cancellation", "quantity not positive", "not a product")
    assert dict(counts.cleaned) == dict.fromkeys(reasons, 1)
    assert (counts.read, counts.refused.total(), counts.kept) == (6, 0, 2)
    table = workspace.read_table("interactions")
    assert table.select("event_id", "user_id", "item_id", "event_type", "value").rows() == [
        ("1-1", "7", "12345", "purchase", 3.0),
        ("1-2", "7", "12345A", "purchase", 2.0),
    ]
    # The second line was typed in a minute later and belongs to the same basket.
    assert table["timestamp"].to_list() == [START, START]
    assert column(workspace, "items", "title") == ["MUG", "CUP"]
    assert workspace.read_table("users").rows() == [("7", "France")]
    assert not workspace.quarantine_path("interactions").exists()


def test_a_log_that_is_all_cleaned_away_and_another_file_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"found no line to keep, only \{'not a product': 1\}"):
        imported(tmp_path, invoices(("5", "POST", "POSTAGE", 1, 5, 9.0, 7)))
    with pytest.raises(DataError, match=r"'StockCode'.* are missing; expected those of UCI Online Retail"):
        imported(tmp_path, pl.DataFrame({"InvoiceNo": ["1"]}))
    with pytest.raises(DataError, match=r"none\.parquet"):
        next(OnlineRetail(tmp_path / "none.parquet").chunks("items"))


def brute_force_titles(lines: pl.DataFrame, cut: datetime) -> dict[str, str]:
    """The most frequent description before the cut, a tie to the one seen first; else the first of all."""
    seen: dict[str, list[str]] = {}
    known: dict[str, Counter[str]] = {}
    for item, description, time in (
        lines.sort("timestamp", "line").select("item_id", "description", "timestamp").iter_rows()
    ):
        seen.setdefault(item, []).append(description)
        if time < cut:
            known.setdefault(item, Counter())[description] += 1
    # Counter.most_common keeps equal counts in the order in which they were first counted.
    return {item: known[item].most_common(1)[0][0] if item in known else texts[0] for item, texts in seen.items()}


def titles(catalogue: Catalogue) -> dict[str, str]:
    return dict(catalogue.table.select("item_id", "title").iter_rows())


events = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 5)), min_size=1, max_size=20)


@given(events=events)
def test_a_version_is_the_most_frequent_description_before_the_cut_even_where_moments_tie(events):
    lines = pl.DataFrame(events, schema=["item_id", "description", "minute"], orient="row").select(
        "item_id",
        "description",
        pl.lit(START).dt.offset_by(pl.format("{}m", "minute")).alias("timestamp"),
        pl.lit(1.0).alias("price"),
        pl.int_range(1, pl.len() + 1).alias("line"),
    )
    versions = item_versions(lines)
    assert not versions.select("item_id", "updated_at").is_duplicated().any()
    for minute in range(7):
        cut = START + timedelta(minutes=minute)
        assert titles(Catalogue.load(versions, cut)) == brute_force_titles(lines, cut)


def test_a_version_has_the_price_of_the_line_that_starts_it_and_the_item_the_time_of_its_first():
    lines = pl.DataFrame(
        {
            "item_id": ["a"] * 4,
            "description": ["x", "y", "y", "x"],
            "timestamp": [START + timedelta(days=number) for number in range(4)],
            "price": [1.0, 2.0, 3.0, 4.0],
            "line": [1, 2, 3, 4],
        }
    )
    # y leads from the third line on; the fourth makes a tie, which goes to x.
    assert item_versions(lines).rows() == [
        ("a", "x", 1.0, START, START),
        ("a", "y", 3.0, START, START + timedelta(days=2)),
        ("a", "x", 4.0, START, START + timedelta(days=3)),
    ]


@pytest.fixture(scope="module")
def retail(tmp_path_factory):
    root = tmp_path_factory.mktemp("retail")
    workspace = project_of(root, {"format": "online_retail", "interactions": str(EXAMPLE)}, types=PURCHASE)
    return workspace, import_tables(workspace)


def test_the_cleaned_log_has_the_published_size(retail):
    workspace, summary = retail
    interactions = workspace.read_table("interactions")
    assert summary.tables["interactions"].read == 541_909
    assert interactions.height == 396_370
    assert interactions["user_id"].n_unique() == workspace.read_table("users").height == 4_335
    assert interactions["item_id"].n_unique() == len(Catalogue.load(workspace)) == 3_659
    assert interactions["event_id"].n_unique() == interactions.height
    assert sum(counts.refused.total() for counts in summary.tables.values()) == 0


def test_the_lines_of_an_invoice_are_one_basket(retail):
    interactions = retail[0].read_table("interactions")
    baskets = interactions.group_by(pl.col("event_id").str.split("-").list.first()).agg(
        pl.col("timestamp").n_unique().alias("times")
    )
    assert baskets["times"].max() == 1
    assert interactions["timestamp"].is_sorted()


def test_at_several_cuts_every_item_has_the_text_that_brute_force_finds(retail):
    workspace, _ = retail
    lines = OnlineRetail(EXAMPLE).lines
    items = workspace.read_table("items")
    moments = lines["timestamp"].unique().sort()
    tied = [moments[len(moments) * part // 3] for part in (1, 2)]
    for cut in (datetime(2011, 11, 25, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC), *tied):
        assert titles(Catalogue.load(items, cut)) == brute_force_titles(lines, cut)
