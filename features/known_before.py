"""What snapshots are computed from, as a hash of all that was known before their moments.

Days that follow a moment change nothing of its snapshot; a late interaction, a version of an item that came late, or
another row of the users table does.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import polars as pl

from features.daily.events import COLUMNS
from features.featureset import FeatureSet
from recsys.catalogue import Catalogue
from recsys.schema import CATEGORY, ITEM_ID, ITEMS, REQUEST_ID, TIMESTAMP, USER_ID


class SnapshotTables(NamedTuple):
    """What snapshots are computed from: interactions with a weight each; None for a table that there is not."""

    interactions: pl.DataFrame
    impressions: pl.DataFrame | None = None
    users: pl.DataFrame | None = None


def known_before(
    tables: SnapshotTables, catalogue: Catalogue, moments: Iterable[datetime], features: FeatureSet, *, settings: str
) -> dict[datetime, str]:
    """For each moment a hash of all that its snapshot depends on: what each table said before it, and `settings`."""
    in_order = sorted(set(moments))
    interactions, impressions, users = tables
    answering = [REQUEST_ID] if impressions is not None and REQUEST_ID in interactions.columns else []
    parts = [_before(interactions.select(*COLUMNS, *answering), in_order)]
    if impressions is not None:
        parts.append(_before(impressions.select(REQUEST_ID, TIMESTAMP, ITEMS), in_order))
    if users is not None and features.project.user_attributes:
        # They have no versions, and are the same at every moment.
        named = [USER_ID, *(name for name, _ in features.project.user_attributes if name in users.columns)]
        parts.append([hash_of(users.select(named).sort(USER_ID))] * len(in_order))
    parts.append(_categories(interactions, catalogue, in_order))
    return {
        moment: blake2b(" ".join([settings, *of_moment]).encode(), digest_size=8).hexdigest()
        for moment, *of_moment in zip(in_order, *parts, strict=True)
    }


def hash_of(rows: pl.DataFrame) -> str:
    """Of a table in its order."""
    return blake2b(rows.hash_rows().to_numpy().tobytes(), digest_size=16).hexdigest()


def _before(rows: pl.DataFrame, moments: list[datetime]) -> list[str]:
    """Of each moment, in order, a hash of the rows before it, which are read once for all of them."""
    ordered = rows.sort(TIMESTAMP, maintain_order=True)
    hashes, digest, start, found = ordered.hash_rows().to_numpy(), blake2b(digest_size=16), 0, []
    for end in ordered[TIMESTAMP].search_sorted(_column(ordered, moments), side="left").to_list():
        digest.update(hashes[start:end].tobytes())
        found.append(digest.hexdigest())
        start = end
    return found


def _categories(interactions: pl.DataFrame, catalogue: Catalogue, moments: list[datetime]) -> list[str]:
    """Of each moment a hash of the items that anybody had touched, and of the category of each then."""
    touched = interactions.group_by(ITEM_ID).agg(pl.col(TIMESTAMP).min())
    columns = [ITEM_ID, *([CATEGORY] if CATEGORY in catalogue.versions.columns else [])]
    found = []
    for moment in moments:
        items = (catalogue.at(moment) if CATEGORY in columns else catalogue).table
        known = touched.filter(pl.col(TIMESTAMP) < moment).select(ITEM_ID)
        found.append(hash_of(items.select(columns).join(known, on=ITEM_ID, how="semi", maintain_order="left")))
    return found


def _column(rows: pl.DataFrame, moments: list[datetime]) -> pl.Series:
    as_utc: Any = [moment.astimezone(UTC) for moment in moments]
    return pl.Series(as_utc, dtype=rows.schema[TIMESTAMP])
