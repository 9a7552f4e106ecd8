"""The online store: filled with one moment at a time, and read by whoever serves.

Each filling has a place of its own, and a pointer says which one serves, so that readers see the old one or the new one
and nothing of older data stays.

Writes  features/online/FILLING.json   what a filling is, before it is made
        features/online/FILLING.npz    item neighbours of its moment
        features/online/FILLING.db     its rows, unless they are in Redis
        features/feature_store.yaml    the filling that serves, for the `feast` command
        features/online_as_of          the filling that serves; it changes last
"""

import logging
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from feast import FeatureStore

from features.feast_plugins.packed_keys import plain_keys, value_of
from features.feast_plugins.packed_online_store import OnlineStoreSchemaError, OnlineStoreUnavailableError
from features.feast_plugins.packed_response import PackedOnlineResponse
from features.feast_project import apply, feature_store_yaml, open_project
from features.online_places import place_of
from recsys.durable import exclusively
from recsys.errors import FeatureStoreError
from recsys.forgetting.who import Who
from recsys.online_address import SQLITE, resolve
from recsys.schema import USER_ID

RETRY_AFTER_S: Final = 2.0
"""So long after a store did not answer nobody asks it again: each time costs a request the whole timeout."""

logger = logging.getLogger(__name__)


class Filling(msgspec.Struct, frozen=True):
    """The features of one moment in an online store; `store` is its address without a password."""

    name: str
    as_of: datetime
    store: str
    written_at: datetime


class OnlineFeatures:
    """The online store of a features folder."""

    def __init__(self, folder: Path, online_store: str, project: str) -> None:
        """Raises ConfigError for an address that is none, FeatureStoreError when its package is not installed."""
        self._folder = folder
        self._fillings = folder / "online"
        self._pointer = folder / "online_as_of"
        self._place = place_of(resolve(online_store), project)
        self._read: tuple[Filling, FeatureStore] | None = None
        self._pointed_at: tuple[int, int] | None = None
        self._ask_again_at = -float("inf")
        self._last_error = ""

    # Filling

    def fill(self, as_of: datetime, neighbours: Path, objects: Sequence[Any]) -> None:
        """Fill anew from the offline store with the rows of `as_of`, and serve that.

        neighbours  the file to keep with them
        objects     what is applied to Feast's registry

        Raises FeatureStoreError when the store does not answer; what served before goes on.
        """
        filling = Filling(f"{as_of:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}", as_of, self._place.name, datetime.now(UTC))
        self._fillings.mkdir(exist_ok=True)
        with exclusively(self._folder / "online.lock"):
            shutil.copyfile(neighbours, self._file(filling.name, "npz"))
            _write(self._file(filling.name, "json"), msgspec.json.encode(filling))
            feast = open_project(self._folder, self._place.fill_section(filling.name))
            try:
                # materialize prints its progress as coloured text on stdout.
                with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                    apply(feast, objects)
                    feast.materialize(start_date=as_of, end_date=as_of)
            except OnlineStoreUnavailableError as error:
                raise self._unavailable(error) from error
            finally:
                _close(feast)
            described = feature_store_yaml(
                self._folder, self._place.public_section(filling.name), comment=self._place.hint
            )
            _write(self._folder / "feature_store.yaml", described.encode())
            _write(self._pointer, msgspec.json.encode(filling))
            self.close()
            self._remove_all_but(filling.name)

    def forget(self, who: Who, *, thoroughly: bool) -> int:
        """Delete the rows of these users, and whatever fillings are left that do not serve; returns how many rows.

        thoroughly  leave no byte of them in a file, which is then written anew

        Whoever reads goes on. Raises FeatureStoreError when the store does not answer.
        """
        if not self._pointer.exists():
            return 0
        with exclusively(self._folder / "online.lock"):
            filling = self.current()
            self._remove_all_but(filling.name)
            feast = open_project(self._folder, self._place.fill_section(filling.name))
            rows: Any = feast._get_provider().online_store
            try:
                users = who.ids
                if users is None:
                    users = who.among(value_of(key, USER_ID) for key in set(rows.all_keys(feast.config)))
                count = rows.delete_keys(feast.config, plain_keys(USER_ID, list(users)))
                if thoroughly:
                    rows.overwrite_deleted(feast.config)
            except OnlineStoreUnavailableError as error:
                raise self._unavailable(error) from error
            finally:
                _close(feast)
        return int(count)

    def _remove_all_but(self, serving: str) -> None:
        """What served before, and what is left of fillings that broke off."""
        for name in sorted({path.name.partition(".")[0] for path in self._fillings.iterdir()} - {serving}):
            note = self._file(name, "json")
            store = msgspec.json.decode(note.read_bytes(), type=Filling).store if note.exists() else SQLITE
            if store == self._place.name:
                try:
                    self._place.clear(self._folder, name)
                except OnlineStoreUnavailableError as error:
                    raise self._unavailable(error) from error
            elif store != SQLITE:
                logger.warning("%s is no longer the online store; remove the keys recsys:*:%s:* there", store, name)
            for path in self._fillings.glob(f"{name}.*"):
                path.unlink()

    # Reading

    def current(self) -> Filling:
        """The filling that the pointer names. Raises FeatureStoreError when there is none in this store."""
        try:
            filling = msgspec.json.decode(self._pointer.read_bytes(), type=Filling)
        except (OSError, msgspec.DecodeError) as error:
            raise FeatureStoreError(
                f"{self._folder}: the online store is empty; run `recsys train` to fill it"
            ) from error
        if filling.store != self._place.name:
            raise FeatureStoreError(
                f"{self._folder}: found features in {filling.store}, expected them in {self._place.name} as "
                "features.online_store says; run `recsys train` to fill it"
            )
        return filling

    def newest(self) -> Filling:
        """Read from the filling that the pointer names from now on."""
        filling = self.current()
        if self._read is None or self._read[0] != filling:
            self.close()
            self._read = filling, open_project(self._folder, self._place.section(filling.name))
        return filling

    def neighbours(self, filling: Filling) -> Path:
        """The file that was kept with a filling."""
        return self._file(filling.name, "npz")

    def read(self, references: list[str], key: str, ids: Sequence[str]) -> PackedOnlineResponse:
        """The features VIEW:NAME of some entities, a row for each id.

        They are those of the filling that was read first, where it can be read for ever, else those of the current one.
        Raises FeatureStoreError when the store is empty or does not answer.
        """
        if time.monotonic() < self._ask_again_at:
            raise FeatureStoreError(self._last_error)
        if self._read is None or not (self._place.readable_when_removed or self._is_current()):
            self.newest()
        assert self._read is not None
        try:
            answer = self._read[1].get_online_features(references, {key: list(ids)})
        except OnlineStoreUnavailableError as error:
            raise self._unavailable(error) from error
        except OnlineStoreSchemaError as error:
            # Whoever puts the right file in its place need not start this process again.
            self.close()
            raise FeatureStoreError(
                f"{self._place.name}: {error}; run `recsys train` to fill it with the features of this version"
            ) from error
        assert isinstance(answer, PackedOnlineResponse)
        return answer

    def close(self) -> None:
        """Close the connections; the next read opens them."""
        if self._read is not None:
            _close(self._read[1])
            self._read = None

    def _is_current(self) -> bool:
        """Whether the pointer is still the file that it was at the last look."""
        try:
            found = self._pointer.stat()
        except FileNotFoundError:
            return False
        before, self._pointed_at = self._pointed_at, (found.st_ino, found.st_mtime_ns)
        return before == self._pointed_at

    def _unavailable(self, error: OnlineStoreUnavailableError) -> FeatureStoreError:
        self._ask_again_at = time.monotonic() + RETRY_AFTER_S
        self._last_error = f"{self._place.name}: the online store does not answer; {error}"
        return FeatureStoreError(self._last_error)

    def _file(self, filling: str, kind: str) -> Path:
        return self._fillings / f"{filling}.{kind}"


def _close(feast: FeatureStore) -> None:
    feast._get_provider().online_store.disconnect()  # type: ignore[attr-defined]  # our plugins'


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    partial.replace(path)
