"""The data sets of examples/: each imports as it is, and is what its SOURCE.md says."""

import re
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from examples.complete_journey import tables as complete_journey
from recsys.importing import import_tables
from recsys.split import split_by_time
from recsys.workspace import Workspace

EXAMPLES = Path(__file__).parents[1] / "examples"


def stated_rows(example: str) -> dict[str, int]:
    """The rows that the table in SOURCE.md states for each file."""
    lines = (EXAMPLES / example / "SOURCE.md").read_text("utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \w+\.\w+ \|", line)
    ]
    return {Path(file).stem: int(rows.replace(",", "")) for file, _, rows in cells}


def split(workspace: Workspace) -> tuple[pl.DataFrame, pl.DataFrame]:
    cut = workspace.config.split.test_start
    assert cut is not None
    return split_by_time(workspace.read_table("interactions"), cut)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("examples") / "support_desk"
    shutil.copytree(EXAMPLES / "support_desk", folder)
    return Workspace.open(folder / "recsys.toml")


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("examples") / "complete_journey"
    complete_journey.main(folder)
    return Workspace.open(folder / "recsys.toml")


@pytest.mark.parametrize("example", ["desk", "journey"])
def test_an_example_imports_without_a_refused_row_and_has_the_rows_that_its_source_states(example, request):
    workspace = request.getfixturevalue(example)
    summary = import_tables(workspace)
    stated = stated_rows(workspace.config.name)
    for table in ("items", "interactions"):
        counts = summary.tables[table]
        assert (counts.read, counts.kept, counts.refused) == (stated[table], stated[table], Counter())


def test_every_template_has_replies_before_the_cut_and_questions_held_out_that_no_reply_answers(desk):
    import_tables(desk)
    before, after = split(desk)
    templates = set(desk.read_table("items")["item_id"])
    held_out = pl.read_csv(EXAMPLES / "support_desk" / "questions_heldout.csv")
    assert (len(before), len(after), len(held_out)) == (220, 55, stated_rows("support_desk")["questions_heldout"])
    assert Counter(held_out["item_id"]) == dict.fromkeys(templates, 2)
    assert set(before["item_id"]) == templates
    assert min(Counter(before["item_id"]).values()) == 4
    asked = pl.concat([before["query"], after["query"], held_out["query"]]).str.to_lowercase()
    assert asked.null_count() == 0
    assert asked.n_unique() == 275 + 80


def test_enough_households_buy_before_and_after_the_cut_to_measure_on(journey):
    import_tables(journey)
    before, after = split(journey)
    assert (len(before), before["user_id"].n_unique(), len(after)) == (134_188, 2_397, 13_888)
    assert len(set(before["user_id"]) & set(after["user_id"])) == 1_720
    assert before.vstack(after).select("user_id", "item_id").n_unique() == 73_733


def test_brands_and_sizes_of_a_type_are_one_item_that_a_basket_holds_once():
    products = pl.DataFrame(
        [
            (12, "DRUG GM", "CANDLES", "TAPERS"),
            (7, "DRUG GM", "CANDLES", "TAPERS"),
            (8, "DRUG GM", "CANDLES", "JARS"),
            (9, "GROCERY", "EGGS", "LARGE"),
            (10, "DRUG GM", "CANDLES", None),
        ],
        schema=["product_id", "department", "product_category", "product_type"],
        orient="row",
    )
    noon = datetime(2017, 5, 1, 12)
    # Five households buy tapers, the first one both products at once; four buy jars; eggs and the unknown do not count.
    bought = [(1, 100, 12), (1, 100, 7), *((home, 100 + home, 7) for home in (2, 3, 4, 5))]
    bought += [(home, 200 + home, 8) for home in (1, 2, 3, 4)]
    bought += [(home, 300 + home, other) for home in (1, 2, 3, 4, 5) for other in (9, 10)]
    transactions = pl.DataFrame(
        [(*row, noon) for row in bought],
        schema={
            "household_id": pl.Int64,
            "basket_id": pl.Int64,
            "product_id": pl.Int64,
            "transaction_timestamp": pl.Datetime("ns"),
        },
        orient="row",
    )
    items, interactions = complete_journey.tables(products, transactions)
    assert items.rows() == [("7", "TAPERS", "CANDLES", "DRUG GM")]
    assert interactions.rows() == [(f"{home}", "7", "purchase", noon.replace(tzinfo=UTC)) for home in (1, 2, 3, 4, 5)]
