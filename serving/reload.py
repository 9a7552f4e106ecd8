"""Keep the engine of a running server up to date with what was trained and put into the online store since.

A new engine is loaded beside the old one, in a thread of its own, and takes its place between two requests. One that
cannot be loaded is refused, and the old one serves on.
"""

import logging
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from recsys.errors import RecsysError
from serving.protocol import Engine
from serving.service import Service

logger: Final = logging.getLogger(__name__)


class Reloader:
    """For one thread, which is not that of the requests."""

    def __init__(self, service: Service, load: Callable[[], Engine], newest: Callable[[], object]) -> None:
        """`newest`: what `load` would load; quick, and equal as long as that is the same."""
        self._service, self._load, self._newest = service, load, newest
        self._loaded: object = None
        self._refused: object = None

    def first(self) -> Engine:
        """Load the engine that the server begins with. Raises whatever `load` raises."""
        self._loaded = self._newest()
        self._service.engine = engine = self._load()
        return engine

    def watch(self, stop: Event) -> None:
        """Look for something new every features.refresh_seconds, until told to stop."""
        while not stop.wait(self._service.config.features.refresh_seconds):
            self.look()

    def look(self) -> None:
        """Load what is new, if anything, and follow the items that other processes changed."""
        try:
            newest = self._newest()
        except RecsysError as error:
            logger.warning("%s; what was loaded serves on", error)
            return
        if newest not in (self._loaded, self._refused):
            self._reload(newest)
        engine = self._service.engine
        if engine is not None and (changes := engine.new_items()):
            self._service.between_requests(partial(engine.apply_items, changes))

    def _reload(self, newest: object) -> None:
        try:
            engine = self._load()
        except Exception as error:  # whatever is wrong with it, the server lives on
            self._refused = newest
            logger.error("what is new cannot be loaded: %s; what was loaded before serves on", error)
            return
        self._loaded, self._refused = newest, None

        def replace() -> None:
            # Those that came while it was loaded: who sent them was told that the next request can rank them.
            engine.apply_items(engine.new_items())
            self._service.engine = engine

        self._service.between_requests(replace)
        logger.warning("serving %s from the next request on", engine.bundle_id)
