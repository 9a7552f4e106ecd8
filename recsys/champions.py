"""Which bundles were champion, and since when: what a rollback goes back to.

Reads and writes  bundles/champions.json   newest first; callers hold the lock of promotions (recsys.bundle)

It is written beside `champion`, which alone says what serves: a process that dies between the two leaves a list from
which the one before still follows, as it does from one that knows nothing of a champion that was put there by hand.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from recsys.durable import put
from recsys.errors import BundleError

HISTORY: Final = "champions.json"
KEPT: Final = 50
"""Champions that are remembered."""


class Champion(msgspec.Struct, frozen=True):
    """A bundle that served."""

    bundle_id: str
    promoted_at: datetime | None = None
    """None of one that became champion by an earlier version, or by hand."""


def champions(bundles: Path) -> list[Champion]:
    """The champions, newest first. Raises BundleError for a file that cannot be read."""
    path = bundles / HISTORY
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Champion])
    except FileNotFoundError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{path}: {error}; expected the list of champions, remove the file: the next promotion begins a new one"
        ) from error


def previous_champion(bundles: Path, now: str) -> str | None:
    """The latest champion that is another bundle than that of `now`; None when none is known. Raises BundleError."""
    return next((each.bundle_id for each in champions(bundles) if each.bundle_id != now), None)


def promoted(known: Sequence[Champion], bundle_id: str, before: str | None) -> list[Champion]:
    """The list once a bundle is champion, after `before`, which the list may lack."""
    found = list(known)
    if before is not None and (not found or found[0].bundle_id not in (before, bundle_id)):
        found.insert(0, Champion(before))
    if not found or found[0].bundle_id != bundle_id:
        found.insert(0, Champion(bundle_id, datetime.now(UTC)))
    return found[:KEPT]


def gone_back(known: Sequence[Champion], bundle_id: str) -> list[Champion]:
    """The list once a bundle, which is in it, is champion again: those that came after it are forgotten."""
    return list(known)[[each.bundle_id for each in known].index(bundle_id) :]


def write_champions(bundles: Path, known: Sequence[Champion]) -> None:
    """On the disk when the call returns."""
    put(bundles / HISTORY, encoded(known))


def encoded(known: Sequence[Champion]) -> bytes:
    """As JSON."""
    return msgspec.json.format(msgspec.json.encode(known)) + b"\n"


def note_champion(bundles: Path, bundle_id: str, before: str | None, *, back: bool = False) -> None:
    """Write down that a bundle is champion, after `before`.

    back  it was before and is again: those that came after it are forgotten

    Raises BundleError for a list that cannot be read.
    """
    known = champions(bundles)
    write_champions(bundles, gone_back(known, bundle_id) if back else promoted(known, bundle_id, before))


def forget_champions(bundles: Path, bundle_ids: Collection[str]) -> None:
    """Leave these out: a rollback goes to one before them. Raises BundleError for a list that cannot be read."""
    known = champions(bundles)
    kept = [each for each in known if each.bundle_id not in bundle_ids]
    if kept != known:
        write_champions(bundles, kept)
