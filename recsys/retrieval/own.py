"""Channels of users' own, registered by entry points:

    [project.entry-points."recsys.channels"]
    season = "our_shop.channels:season"

The object is a channel: one function, Query → numbers (n_items,), NaN or -inf where it has nothing to say.
"""

import hashlib
import sys
import traceback
from collections.abc import Callable, Container
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

import numpy as np

from recsys.errors import ChannelError
from recsys.retrieval.query import Query
from recsys.state import Floats

GROUP: Final = "recsys.channels"


def own_entries(taken: Container[str]) -> dict[str, EntryPoint]:
    """The installed entry points by name, in the order of the names; nothing is imported.

    Raises ChannelError when one has a name that is `taken` by a channel of the engine, or that of another one.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        if entry.name in taken:
            raise ChannelError(f"{described(entry)}: a channel of the engine has this name; give yours another one")
        if entry.name in found:
            raise ChannelError(
                f"{described(entry)}: {found[entry.name].value} is registered by the same name; give each its own"
            )
        found[entry.name] = entry
    return found


def load_own(entry: EntryPoint) -> Callable[[Query], Floats]:
    """The channel of an entry point, which checks what comes back. Raises ChannelError when there is none.

    The channel raises ChannelError whenever it fails.
    """
    try:
        channel = entry.load()
    except Exception as error:  # whatever importing somebody's module may raise
        raise ChannelError(
            f"{described(entry)}: cannot be loaded, {type(error).__name__}: {error}; "
            f"correct it, or switch it off with {entry.name} = 0 under [retrieval.budgets]"
        ) from error
    if not callable(channel):
        raise ChannelError(
            f"{described(entry)}: found an object of type {type(channel).__name__}, expected a function of a Query"
        )

    def checked(query: Query) -> Floats:
        try:
            scores = np.asarray(channel(query), dtype=np.float64)
        except Exception as error:  # whatever somebody's channel may raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise ChannelError(
                f"{described(entry)}: {type(error).__name__}: {error} (at {place.filename}:{place.lineno})"
            ) from error
        if scores.shape != (len(query.items),):
            raise ChannelError(
                f"{described(entry)}: found scores of the shape {scores.shape}, expected ({len(query.items)},), "
                "a score of every item; query.nothing() has that shape"
            )
        return scores

    return checked


def source_of(entry: EntryPoint) -> str:
    """What a loaded channel is: where it is from, and a hash of the file of its module."""
    file = getattr(sys.modules[entry.module], "__file__", None)
    code = "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return f"{entry.name} = {entry.value} {code}"


def described(entry: EntryPoint) -> str:
    """An entry point as its error names it."""
    package = "" if entry.dist is None else f" of the package {entry.dist.name}"
    return f"entry point {entry.name} = {entry.value!r} in {GROUP}{package}"
