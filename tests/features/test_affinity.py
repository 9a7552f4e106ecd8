from datetime import timedelta

import polars as pl
import pytest

from features.affinity import MAX_CATEGORIES
from recsys.catalogue import Catalogue
from tests.features.log import MICROSECOND, catalogue_of, day, log
from tests.features.whole_log import user_affinity

AS_OF = day(100)
ITEMS = pl.DataFrame({"item_id": ["cup", "jam", "tea"], "title": ["", "", ""], "category": ["dish", None, "drink"]})
CATALOGUE = Catalogue.load(ITEMS)


def affinities(interactions: pl.DataFrame, catalogue: Catalogue = CATALOGUE, **windows) -> dict[str, dict[str, float]]:
    rows = user_affinity(interactions, catalogue, AS_OF, **windows).drop("event_timestamp").rows()
    return {user: dict(zip(categories, weights, strict=True)) for user, categories, weights in rows}


def test_interest_in_a_category_halves_every_30_days():
    interactions = log(
        ("ann", "tea", 40, None, 1.0),
        ("ann", "tea", 70, None, 0.5),
        ("ann", "cup", 100 - 15, None, 1.0),
        ("bob", "tea", AS_OF, None, 1.0),
        ("cat", "jam", 99, None, 1.0),
        ("dan", "gone", 99, None, 1.0),
    )
    # Of the others nothing was known yet, or what they chose has no category.
    assert affinities(interactions) == {"ann": {"dish": pytest.approx(0.5**0.5), "drink": 0.25 + 0.25}}


def test_interest_counted_on_from_a_snapshot_is_that_of_the_snapshot():
    interactions = log(("ann", "tea", 40), ("ann", "cup", AS_OF - MICROSECOND))
    found = affinities(interactions, windows_from=day(70))
    assert found == {"ann": {"drink": 0.5, "dish": pytest.approx(2.0)}}


def test_an_item_is_of_the_category_that_it_had_then():
    versions = pl.concat([ITEMS.with_columns(updated_at=pl.lit(day(number))) for number in (1, 100)])
    later = pl.when(pl.col("updated_at") == AS_OF).then(pl.lit("new")).otherwise("category")
    catalogue = Catalogue.load(versions.with_columns(category=later))
    assert list(affinities(log(("ann", "tea", 99)), catalogue)["ann"]) == ["drink"]


def test_of_many_categories_those_of_the_largest_weights_are_kept_by_name():
    names = [f"c{at:03}" for at in range(MAX_CATEGORIES + 2)]
    catalogue = Catalogue.load(pl.DataFrame({"item_id": names, "title": names, "category": names}))
    rows = [("ann", name, AS_OF - timedelta(hours=at + 1)) for at, name in enumerate(names)]
    assert list(affinities(log(*rows), catalogue)["ann"]) == names[:MAX_CATEGORIES]


def test_where_items_have_no_category_nobody_has_an_affinity():
    assert affinities(log(("ann", "a", 99)), catalogue_of("ab")) == {}
