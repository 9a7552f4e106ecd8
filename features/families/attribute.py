"""What the items table says of an item: the columns that recsys.toml names under features.item_attributes."""

from typing import Final

import numpy as np

from features.families.family import EVER, NOW, Feature, Project, Request
from features.families.user import value_mean
from recsys.attributes import AttributeKind
from recsys.schema import PRICE
from recsys.state import SECONDS_A_DAY, Floats

SOURCE: Final = "items"


def features(project: Project) -> tuple[Feature, ...]:
    """One for each attribute, and how a price fits the user."""
    found = [described("item", name, kind, SOURCE) for name, kind in project.item_attributes]
    if _has_price(project):
        found.append(Feature("price_fit", "price against the user's mean value", "ratio", EVER, "items, interactions"))
    return tuple(found)


def described(whose: str, name: str, kind: AttributeKind, source: str) -> Feature:
    """An attribute of an item or of a user."""
    match kind:
        case "timestamp":
            return Feature(f"{whose}_{name}_days", f"time since the {name}", "days", NOW, source)
        case "categorical":
            return Feature(f"{whose}_{name}", f"the {name}, as a number for each name", "code", EVER, source)
    return Feature(f"{whose}_{name}", f"the {name}", name, EVER, source)


def values(request: Request) -> Floats:
    """Of each candidate."""
    attributes, known = request.project.item_attributes, request.items.attributes
    n_features = len(attributes) + _has_price(request.project)
    if known is None:
        return np.full((len(request.candidates), n_features), np.nan)
    found = np.empty((len(request.candidates), n_features))
    found[:, : len(attributes)] = known[request.candidates]
    for at, (name, kind) in enumerate(attributes):
        if kind == "timestamp":
            found[:, at] = (request.now - found[:, at]) / SECONDS_A_DAY
        elif name == PRICE and kind == "numeric":
            found[:, -1] = found[:, at] / value_mean(request)
    return found


def _has_price(project: Project) -> bool:
    return (PRICE, "numeric") in project.item_attributes
