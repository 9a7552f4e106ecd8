"""The online store as whoever serves reads it: packed rows, without Feast.

It is filled with one moment at a time (features.online_filling). Each filling has a place of its own, and a pointer
says which one serves, so that readers see the old one or the new one and nothing of older data stays.

Reads   features/online_as_of          the filling that serves
        features/online/FILLING.npz    item neighbours of its moment
        features/online/FILLING.db     its rows, unless they are in Redis
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from features.online_places import place_of
from features.packed.answer import PackedAnswer, ViewRows
from features.packed.keys import plain_keys, unique_keys, value_of
from features.packed.layout import RowLayout
from features.packed.places import RowsPlace, RowsSchemaError, RowsUnavailableError
from features.packed.rows import PackedRows
from features.stored_views import PROJECT
from recsys.durable import exclusively
from recsys.errors import FeatureStoreError
from recsys.forgetting.who import Who
from recsys.online_address import SQLITE, resolve
from recsys.schema import USER_ID

logger = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 2.0
"""So long after a store did not answer nobody asks it again: each time costs a request the whole timeout."""


class Filling(msgspec.Struct, frozen=True):
    """The features of one moment in an online store; `store` is its address without a password."""

    name: str
    as_of: datetime
    store: str
    written_at: datetime
    layouts: dict[str, str] = {}
    """RowLayout.id by view; none are known of a filling that an earlier version made."""


class OnlineFeatures:
    """The online store of a features folder."""

    def __init__(self, folder: Path, online_store: str, project: str) -> None:
        """Raises ConfigError for an address that is none, FeatureStoreError when its package is not installed."""
        self.folder = folder
        self.fillings = folder / "online"
        self.pointer = folder / "online_as_of"
        self.place = place_of(resolve(online_store), project)
        self._read: tuple[Filling, RowsPlace] | None = None
        self._pointed_at: tuple[int, int] | None = None
        self._ask_again_at = -float("inf")
        self._last_error = ""

    def current(self) -> Filling:
        """The filling that the pointer names. Raises FeatureStoreError when there is none in this store."""
        try:
            filling = msgspec.json.decode(self.pointer.read_bytes(), type=Filling)
        except (OSError, msgspec.DecodeError) as error:
            raise FeatureStoreError(
                f"{self.folder}: the online store is empty; run `recsys train` to fill it"
            ) from error
        if filling.store != self.place.name:
            raise FeatureStoreError(
                f"{self.folder}: found features in {filling.store}, expected them in {self.place.name} as "
                "features.online_store says; run `recsys train` to fill it"
            )
        return filling

    def newest(self) -> Filling:
        """Read from the filling that the pointer names from now on."""
        filling = self.current()
        if self._read is None or self._read[0] != filling:
            self.close()
            self._read = filling, self.place.rows(self.folder, filling.name)
        return filling

    def neighbours(self, filling: Filling) -> Path:
        """The file that was kept with a filling."""
        return self.file(filling.name, "npz")

    def read(self, layouts: Mapping[str, RowLayout], key: str, ids: Sequence[str]) -> PackedAnswer[PackedRows]:
        """The features of some entities in some views, whose features have different names; a row for each id.

        They are those of the filling that was read first, where it can be read for ever, else those of the current one.
        Raises FeatureStoreError when the store is empty, does not answer, or has other features.
        """
        if time.monotonic() < self._ask_again_at:
            raise FeatureStoreError(self._last_error)
        if self._read is None or not (self.place.readable_when_removed or self._is_current()):
            self.newest()
        assert self._read is not None
        filling, rows = self._read
        keys, index = unique_keys({key: ids}) if ids else ([], np.empty(0, dtype=np.int64))
        try:
            _check(filling, layouts)
            found = rows.read([(layout, keys) for layout in layouts.values()])
        except RowsUnavailableError as error:
            raise self.unavailable(error) from error
        except RowsSchemaError as error:
            # Whoever puts the right file in its place need not start this process again.
            self.close()
            raise FeatureStoreError(
                f"{self.place.name}: {error}; run `recsys train` to fill it with the features of this version"
            ) from error
        views = [
            ViewRows({name: name for name in layout.types}, PackedRows(layout, of_view), index)
            for layout, of_view in zip(layouts.values(), found, strict=True)
        ]
        return PackedAnswer({key: ids}, views)

    def forget(self, who: Who, *, thoroughly: bool) -> int:
        """Delete the rows of these users, and whatever fillings are left that do not serve; returns how many rows.

        thoroughly  leave no byte of them in a file, which is then written anew

        Whoever reads goes on. Raises FeatureStoreError when the store does not answer.
        """
        if not self.pointer.exists():
            return 0
        with exclusively(self.folder / "online.lock"):
            filling = self.current()
            self.remove_all_but(filling.name)
            rows = self.place.rows(self.folder, filling.name, patient=True)
            try:
                users = who.ids
                if users is None:
                    users = who.among(value_of(key, USER_ID) for key in set(rows.all_keys(PROJECT)))
                count = rows.delete_keys(PROJECT, plain_keys(USER_ID, list(users)))
                if thoroughly:
                    rows.overwrite_deleted()
            except RowsUnavailableError as error:
                raise self.unavailable(error) from error
            finally:
                rows.close()
        return count

    def remove_all_but(self, serving: str) -> None:
        """Remove what served before, and what is left of fillings that broke off. Raises FeatureStoreError."""
        for name in sorted({path.name.partition(".")[0] for path in self.fillings.iterdir()} - {serving}):
            note = self.file(name, "json")
            store = msgspec.json.decode(note.read_bytes(), type=Filling).store if note.exists() else SQLITE
            if store == self.place.name:
                try:
                    self.place.clear(name)
                except RowsUnavailableError as error:
                    raise self.unavailable(error) from error
            elif store != SQLITE:
                logger.warning("%s is no longer the online store; remove the keys recsys:*:%s:* there", store, name)
            for path in self.fillings.glob(f"{name}.*"):
                path.unlink()

    def close(self) -> None:
        """Close the connections; the next read opens them."""
        if self._read is not None:
            self._read[1].close()
            self._read = None

    def _is_current(self) -> bool:
        """Whether the pointer is still the file that it was at the last look."""
        try:
            found = self.pointer.stat()
        except FileNotFoundError:
            return False
        before, self._pointed_at = self._pointed_at, (found.st_ino, found.st_mtime_ns)
        return before == self._pointed_at

    def unavailable(self, error: Exception) -> FeatureStoreError:
        """What to raise when the store did not answer; nobody asks it again for a while."""
        self._ask_again_at = time.monotonic() + RETRY_AFTER_S
        self._last_error = f"{self.place.name}: the online store does not answer; {error}"
        return FeatureStoreError(self._last_error)

    def file(self, filling: str, kind: str) -> Path:
        """One of those of a filling."""
        return self.fillings / f"{filling}.{kind}"


def _check(filling: Filling, layouts: Mapping[str, RowLayout]) -> None:
    """Raises RowsSchemaError when the filling has other features: of Redis nothing else would tell."""
    for view, layout in layouts.items():
        if filling.layouts and filling.layouts.get(view) != layout.id:
            raise RowsSchemaError(f"the view {view} was filled with other features than recsys.toml describes now")
