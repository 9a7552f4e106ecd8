"""The bundles of a project: its folder bundles/ and, if recsys.toml names one, the object store that machines share.

    Shelf(workspace).promote("shop-20111125-37c12139")

Servers and trainers open what lies in the folder; nothing is ever served out of the store. Where there is a store, it
says which bundle is champion, and the folder follows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from recsys.bundle import (
    PROMOTING,
    Bundle,
    champion_id,
    check_bundle,
    check_unchanged,
    list_bundles,
    promote,
    rollback,
    set_champions,
)
from recsys.champions import gone_back, promoted
from recsys.durable import exclusively
from recsys.errors import BundleError
from recsys.object_store import ObjectStore
from recsys.pruning import marked_bundles, prune, prune_forgotten
from recsys.remote_shelf import NOBODY, Promoted, RemoteShelf
from recsys.workspace import Workspace


class Shelf:
    """Whatever raises StoreError has changed nothing that counts."""

    def __init__(self, workspace: Workspace) -> None:
        """Raises ConfigError for a store that fsspec does not know."""
        self.path: Final = workspace.bundles
        url = workspace.config.bundles.url
        self.remote: Final = None if url is None else RemoteShelf(ObjectStore(url))
        self._keep = workspace.config.bundles.keep
        self._needed = workspace.config.experiment_bundles

    def bring(self, bundle_id: str) -> Path:
        """The folder of a bundle, out of the store if it is not here. Raises BundleError."""
        folder = self.path / bundle_id
        if self.remote is None or folder in list_bundles(self.path):
            return folder
        return self.remote.fetch(bundle_id, self.path)

    def upload(self, bundle_id: str) -> None:
        """Bring a published bundle into the store, if there is one. Raises BundleError."""
        if self.remote is not None:
            self.remote.upload(self.path / bundle_id)

    def upload_decision(self, bundle_id: str) -> None:
        """Bring what the gate said of a bundle, published or not, into the store, if there is one."""
        if self.remote is not None:
            self.remote.upload_decision(self.path, bundle_id)

    def promote(
        self, bundle_id: str, check: Callable[[Bundle], None] | None = None, *, instead_of: str | None = None
    ) -> None:
        """Make a bundle the champion, on all machines; as recsys.bundle.promote.

        Of several at once each takes its turn, and the last one is champion.
        """
        if self.remote is None:
            return promote(self.path, bundle_id, check, instead_of=instead_of)
        check_bundle(self.bring(bundle_id), check)
        self.remote.upload(self.path / bundle_id)
        while True:
            known = self.remote.promoted()
            before = known.champion
            if known.number == 0 and (before := self._own_champion()) is not None:
                # Of a project that had no store until now: all are to be able to go back to it.
                self.remote.upload(self.path / before)
            check_unchanged(self.remote.url, before, bundle_id, instead_of)
            if known.champion == bundle_id or self.remote.commit(known, promoted(known.champions, bundle_id, before)):
                break
        self.follow()

    def rollback(self, check: Callable[[Bundle], None] | None = None) -> str:
        """Go back to the champion before, on all machines; as recsys.bundle.rollback."""
        if self.remote is None:
            return rollback(self.path, check)
        known = self.remote.promoted()
        if known.before is None:
            raise BundleError(
                f"{self.remote.url}: no champion is known from before {known.champion}; `recsys bundles list` shows "
                "what can be promoted"
            )
        check_bundle(self.bring(known.before), check)
        self.remote.upload(self.path / known.before)
        # Not again after another one's change: that would go back from what this call knows nothing of.
        if not self.remote.commit(known, gone_back(known.champions, known.before)):
            now = self.remote.promoted().champion
            if now != known.before:
                raise BundleError(
                    f"{self.remote.url}: {now} was made champion meanwhile; look with `recsys bundles list`, and roll "
                    "back from that one if you want"
                )
        self.follow()
        return known.before

    def follow(self, known: Promoted = NOBODY) -> Promoted:
        """Have here what the store says of champions, which is returned; nothing where there is no store.

        known  what the store said the last time: if it is still so, this costs one small request

        Raises BundleError, and leaves the old champion, when the new one cannot be had whole.
        """
        if self.remote is None or (found := self.remote.promoted(known)).champion is None or found == known:
            return known
        while True:
            assert found.champion is not None
            self.bring(found.champion)
            with exclusively(self.path / PROMOTING):
                # Another process may have got further meanwhile, and is not to be taken back.
                latest = self.remote.promoted(found)
                if latest == found:
                    set_champions(self.path, found.champions)
                    return found
            found = latest

    def prune(self, *, keep: int | None = None) -> list[str]:
        """Delete all bundles, here and in the store, but the newest, the champion, the one before and those that
        experiments name; returns the names of the deleted. keep: as many of the newest; None: bundles.keep."""
        deleted = self.prune_here(keep=keep)
        if self.remote is not None:
            deleted += self.remote.prune(keep=self._keep if keep is None else keep, needed=self._needed)
        return sorted(set(deleted))

    def prune_here(self, *, keep: int | None = None) -> list[str]:
        """The same, of the folder alone."""
        return prune(self.path, keep=self._keep if keep is None else keep, needed=self._needed)

    def prune_forgotten(self) -> list[str]:
        """Delete the bundles that learned from users who are forgotten since, here and in the store, but the champion;
        returns their names. A rollback goes to the latest one that is left."""
        self.follow()
        if self.remote is not None:
            # First: when the store does not answer, the marks here still say what is to be deleted.
            self.remote.delete(marked_bundles(self.path))
        return prune_forgotten(self.path)

    def _own_champion(self) -> str | None:
        """That of the folder, if it lies there."""
        own = champion_id(self.path)
        return own if own in {path.name for path in list_bundles(self.path)} else None
