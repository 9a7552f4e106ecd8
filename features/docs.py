"""Every feature and every field of the feature store as Markdown, out of the code that computes them.

Reads   features.families, features.fields
Writes  docs/features.md, by way of standard output

    python -m features.docs > docs/features.md
"""

import inspect
from collections.abc import Iterable, Sequence
from typing import Final

from features.families import FAMILIES, text
from features.families.family import Feature
from features.featureset import FeatureSet
from features.field import Field
from features.stored_views import item_views, user_views
from recsys.attributes import AttributeKind
from recsys.schema import PRICE, PUBLISHED_AT

HEAD: Final = """# Features

Every feature of the ranker's matrix and every field of the feature store, from `features/families` and
`features/fields.py` by `python -m features.docs > docs/features.md`. TYPE stands for each interaction type of
recsys.toml; NAME for each further of the item_attributes and user_attributes there, TIME for one that is a moment.
What is not known is NaN in the matrix and null in the store. A window of days begins so long before the snapshot and
ends at the moment of the request; nothing at or after that is ever counted, and `recsys audit leaks` proves it on your
own data.

To add a feature, put it into `features` and `values` of its family, at the same place in both; both training and
serving have it then. What it needs of the past that no field holds is summed in `features/daily`: of items and users in
`day.py`, of a user with an item among the PAIR_SUMS of `partials.py`.

`recsys train` keeps the interactions by day in `features/daily/log`, and beside them what each day adds to the fields;
a snapshot is made of the days before its moment. When interactions are imported that have come since, or come late,
only their days are computed. Which items were chosen together is counted anew for each moment, from all interactions.
A snapshot stays as long as nothing has changed of what was known at its moment (`features/known_before.py`).
"""
STORE: Final = """## The feature store

Every field of items and users is a count, a sum, the earliest or the latest: a server adds what came since to the row
of the last snapshot, and the shares and means above are made of the result.
"""


def render() -> str:
    """The whole of docs/features.md."""
    of_items: dict[str, AttributeKind] = {PRICE: "numeric", PUBLISHED_AT: "timestamp", "NAME": "categorical"}
    of_users: dict[str, AttributeKind] = {"NAME": "categorical", "TIME": "timestamp"}
    features = FeatureSet.of(["TYPE"], of_items, of_users)
    parts = [HEAD]
    for family in FAMILIES:
        parts += [_heading(family), _features(family.features(features.project))]
    parts += [_heading(text), _features([*text.SIGNAL_MEANINGS, *text.STANDING_MEANINGS, *text.TOPIC_MEANINGS])]
    parts.append(STORE)
    views = item_views(features) | user_views(features)
    for view, fields in views.items():
        parts += [f"### {view}\n", _fields(fields)]
    return "\n".join(parts)


def _heading(family: object) -> str:
    """The family by its name, and what it is."""
    name = str(inspect.getmodulename(inspect.getfile(family)))  # type: ignore[arg-type]  # a family is a module
    return f"## {name.capitalize()}\n\n{inspect.getdoc(family)}\n"


def _features(features: Iterable[Feature]) -> str:
    return _table(("Feature", "Meaning", "Unit", "Window", "Source"), ((f"`{one.name}`", *one[1:]) for one in features))


def _fields(fields: Iterable[Field]) -> str:
    rows = ((f"`{field.name}`", field.kind, field.description) for field in fields)
    return _table(("Field", "Type", "Meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return (
        "".join("| " + " | ".join(cells) + " |\n" for cells in lines)
        .replace("| --- |", "|---|")
        .replace(" --- |", "---|")
    )


if __name__ == "__main__":
    print(render(), end="")
