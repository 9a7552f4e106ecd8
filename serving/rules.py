"""The rules of all surfaces over the items of an engine."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from recsys.config import DEFAULT_SURFACE, Surface
from recsys.rules.columns import types_of
from serving.surface_rules import SurfaceRules

__all__ = ["DEFAULT_SURFACE", "Rules", "Surfaces"]

Surfaces = Mapping[str, Surface]


class Rules:
    """Made in any thread; once an engine uses them, only where requests are answered."""

    def __init__(self, items: pl.DataFrame, surfaces: Surfaces) -> None:
        """items: the items table of a bundle. Raises ConfigError when a condition does not fit its columns."""
        types = types_of(items)
        self._of = {name: SurfaceRules(name, surface, items, types) for name, surface in surfaces.items()}

    def of(self, surface: str) -> SurfaceRules | None:
        """Those of a surface; None where all goes by the score alone."""
        return self._of.get(surface)

    def follow(self, changed: Mapping[int, Mapping[str, Any]]) -> None:
        """Items that were added or changed: position → all columns as they were sent, item_id among them."""
        for rules in self._of.values():
            rules.follow(changed)
