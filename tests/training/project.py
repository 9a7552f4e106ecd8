"""What the tests of training are made of: tables of a few rows, states without a feature store, the made-up shop."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.featureset import FeatureSet
from features.weights import weigh, weights_of
from recsys.catalogue import Catalogue
from recsys.config import Config, Finetune, InteractionType, Source, Split
from recsys.importing import import_tables
from recsys.schema import columns_of
from recsys.state import ItemState, UserState
from recsys.workspace import Workspace
from tests.neighbours import no_neighbours
from tests.shop import interaction_rows, item_rows, write_shop

DAY_0 = datetime(2024, 1, 1, tzinfo=UTC)
TYPES = {"view": InteractionType(weight=0.2), "purchase": InteractionType(weight=1.0, label=True)}
FEATURES = FeatureSet.of(TYPES)
WEIGHTS = weights_of(TYPES)

CONFIG = """
name = {name!r}
[source]
items = "items.csv"
interactions = "interactions.csv"
[interaction_types]
view = {{ weight = 0.2 }}
purchase = {{ weight = 1.0, label = true }}
[text]
encoder = {encoder!r}
[split]
test_start = 2024-04-15T00:00:00Z
[finetune]
max_steps = {max_steps}
learning_rate = 1e-3
[ranker]
windows = 3
trees = {trees}
learning_rate = 0.05
[retrieval]
candidates = 40
"""


def at(day: float) -> datetime:
    return DAY_0 + timedelta(days=day)


def catalogue_of(*item_ids: str, titles: Sequence[str] | None = None) -> Catalogue:
    """The items in their order, each with its id as its title unless titles are given."""
    return Catalogue.load(pl.DataFrame({"item_id": item_ids, "title": titles or item_ids}))


def chosen(
    *rows: tuple[str, str, float],
    event_type: str = "purchase",
    query: str | None = None,
    request_id: str | None = None,
    types: dict[str, InteractionType] = TYPES,
) -> pl.DataFrame:
    """Interactions of (user, item, days since DAY_0) rows, weighed as a Pipeline does."""
    columns = {"user_id": [row[0] for row in rows], "item_id": [row[1] for row in rows]}
    times = {"event_type": [event_type] * len(rows), "timestamp": [at(row[2]) for row in rows]}
    same = {
        name: [value] * len(rows) for name, value in (("value", None), ("query", query), ("request_id", request_id))
    }
    return weigh(pl.DataFrame({**columns, **times, **same}, schema_overrides=columns_of("interactions")), types)


def shown(*rows: tuple[str, str, float, str], query: str | None = None) -> pl.DataFrame:
    """Impressions of (request, user, days since DAY_0, items of one letter each in the order shown) rows."""
    columns = {
        "request_id": [row[0] for row in rows],
        "user_id": [row[1] for row in rows],
        "timestamp": [at(row[2]) for row in rows],
        "items": [list(row[3]) for row in rows],
        "query": [query] * len(rows),
    }
    return pl.DataFrame(columns, schema_overrides=columns_of("impressions"))


def items_state(n_items: int, *, day: float = 0, **columns: Sequence[float]) -> ItemState:
    """Items of which only the given features are known, and which nobody chose together."""
    behaviour = np.full((n_items, len(FEATURES.item_columns)), np.nan)
    for name, values in columns.items():
        behaviour[:, FEATURES.item_columns.index(name)] = values
    return ItemState(at(day).timestamp(), FEATURES.item_columns, behaviour, no_neighbours(n_items))


def user_of(occasions: Mapping[int, float]) -> UserState:
    """A user whose history holds these positions, the latest first, chosen on as many occasions, each a day earlier."""
    last_at = at(0).timestamp() - 86_400.0 * np.arange(len(occasions))
    history = np.array(list(occasions), dtype=np.int64)
    counts = np.array(list(occasions.values()), dtype=np.float64)
    types = np.full(len(history), "purchase")
    behaviour, spent = np.full(len(FEATURES.user_columns), np.nan), np.zeros_like(counts)
    return UserState(behaviour, history, counts, last_at, last_at, types, spent)


def config_of(*, validation_days: int = 14, **finetune: Any) -> Config:
    """A configuration that no file stands behind."""
    return Config(
        name="test",
        source=Source(interactions="none"),
        interaction_types=TYPES,
        split=Split(validation_days=validation_days),
        finetune=Finetune(**finetune),
    )


def shop_tables() -> tuple[pl.DataFrame, Catalogue]:
    """The interactions and the catalogue of the made-up shop, without any file."""
    rows = pl.DataFrame(interaction_rows()).with_columns(pl.col("timestamp").str.to_datetime("%+", time_zone="UTC"))
    return weigh(rows, TYPES), Catalogue.load(pl.DataFrame(item_rows()))


def write_config(
    root: Path, encoder: Path, *, name: str = "made-up shop", max_steps: int = 10, trees: int = 60
) -> Workspace:
    """Write the recsys.toml of a shop that trains in seconds, and open the project."""
    text = CONFIG.format(name=name, encoder=str(encoder), max_steps=max_steps, trees=trees)
    (root / "recsys.toml").write_text(text)
    return Workspace.open(root / "recsys.toml")


def shop_project(root: Path, encoder: Path) -> Workspace:
    """The imported shop."""
    write_shop(root, format="csv", bad_rows=False)
    workspace = write_config(root, encoder)
    import_tables(workspace)
    return workspace
