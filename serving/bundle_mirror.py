"""Have a server follow the object store of its project: its folder bundles/ gets each new champion.

A new champion is brought beside its place, compared with its hashes and then made the champion of the folder, which the
server follows as it does any promotion (serving.reload). A store that does not answer, or has a champion that is not
whole, leaves the server with what it has; it is asked again.
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final

from recsys.bundle import champion_id
from recsys.errors import RecsysError, StoreError
from recsys.remote_shelf import NOBODY
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from serving.protocol import Engine

BEGIN_S: Final = 10.0
"""How long a server that has a champion waits for a newer one before it begins."""
LIST_EVERY_S: Final = 60.0
"""How often all champions are listed, in case the one that is known was forgotten meanwhile."""
BROKEN_AGAIN_S: Final = 60.0
"""Until what could not be brought is brought again."""

UNREACHABLE: Final = "the object store of the bundles does not answer, the log says why; what is here serves on"
BROKEN: Final = "the champion of the object store cannot be had, the log says why; what is here serves on"

_LOG: Final = logging.getLogger(__name__)


class BundleMirror:
    """Of one project; any thread."""

    def __init__(self, shelf: Shelf, *, poll_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._shelf, self._poll_seconds, self._clock = shelf, poll_seconds, clock
        self._looking = Lock()
        self._known = NOBODY
        self._list_at = self._look_at = -float("inf")
        self.problem: str | None = None
        """Why it does not follow, if it does not."""

    def begin(self) -> None:
        """Look once, and wait for what comes of it: as long as it takes without a champion, else not for long."""
        looking = Thread(target=self.look, name="bundle-store", daemon=True)
        looking.start()
        looking.join(None if champion_id(self._shelf.path) is None else BEGIN_S)

    def watch(self, stop: Event) -> None:
        """Look again and again until told to stop."""
        while not stop.wait(self._poll_seconds):
            self.look()

    def look(self) -> None:
        """Bring the champion of the store, if it is another one. Never raises."""
        with self._looking:
            now = self._clock()
            if now < self._look_at:
                return
            try:
                self._follow(now)
            except StoreError as error:
                self._note(UNREACHABLE, error)
            except Exception as error:  # such as a full disk: whatever it is, the server lives on
                self._note(BROKEN, error)
                self._look_at = now + BROKEN_AGAIN_S
            else:
                if self.problem is not None:
                    _LOG.warning("the object store of the bundles is followed again")
                self.problem = None

    def _follow(self, now: float) -> None:
        known = self._known if now < self._list_at else NOBODY
        found = self._shelf.follow(known)
        if known is NOBODY:
            self._list_at = now + LIST_EVERY_S
        if found != self._known:
            self._known = found
            _LOG.warning("%s is champion in the object store", found.champion)
            # After it: what was champion until now is the one before.
            self._shelf.prune_here()

    def _note(self, problem: str, error: Exception) -> None:
        if problem != self.problem:
            what = str(error) if isinstance(error, RecsysError) else f"{type(error).__name__}: {error}"
            _LOG.error("%s; the champion of this machine serves on", what)
        self.problem = problem


def load_brought(shelf: Shelf, load: Callable[[str], Engine], bundle_id: str) -> Engine:
    """The engine of a bundle that an experiment names, which may lie in the store alone. Raises as `load` does."""
    shelf.bring(bundle_id)
    return load(bundle_id)


def mirror_of(workspace: Workspace, shelf: Shelf) -> BundleMirror | None:
    """What follows the store of a project; None where it has none."""
    return None if shelf.remote is None else BundleMirror(shelf, poll_seconds=workspace.config.bundles.poll_seconds)
