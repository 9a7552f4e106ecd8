"""Keep the engine of a running server up to date with what was trained and put into the online store since, and with
the rules of recsys.toml.

A new engine is loaded beside the old one, in a thread of its own, and takes its place between two requests. One that
cannot be loaded is refused, and the old one serves on. So it is with rules.
"""

import logging
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from recsys.errors import RecsysError
from serving.protocol import Engine
from serving.rules import Surfaces
from serving.service import Service
from serving.surfaces import SurfacesFile
from serving.variant_engines import VariantEngines

logger: Final = logging.getLogger(__name__)


class Reloader:
    """For one thread, which is not that of the requests."""

    def __init__(
        self,
        service: Service,
        load: Callable[[], Engine],
        newest: Callable[[], object],
        rules: SurfacesFile | None = None,
        variants: VariantEngines | None = None,
    ) -> None:
        """newest  what `load` would load; quick, and equal as long as that is the same
        rules   the surfaces of the project; None: there are none, ever
        variants  the engines of its experiments; None: there are none, ever
        """
        self.service = service
        self._load, self._newest, self._rules, self._variants = load, newest, rules, variants
        self._engine: Engine | None = None
        """The latest one, which may not have begun to serve."""
        self._surfaces: Surfaces = {}
        """Whose rules it has."""
        self._loaded: object = None
        self._refused: object = None

    def first(self) -> Engine:
        """Load the engine that the server begins with. Raises whatever `load` raises."""
        self._loaded = self._newest()
        surfaces = {} if self._rules is None else self._rules.read()
        engine = self._load()
        engine.use_rules(engine.make_rules(surfaces))
        self._engine, self._surfaces = engine, surfaces
        self.service.surfaces, self.service.engine = surfaces, engine
        return engine

    def watch(self, stop: Event) -> None:
        """Look for something new every features.refresh_seconds, until told to stop."""
        self._look_at_variants()
        while not stop.wait(self.service.config.features.refresh_seconds):
            self.look()

    def look(self) -> None:
        """Load what is new, if anything, and follow the items that other processes changed."""
        if self._rules is not None and self._rules.has_changed():
            self._follow_rules(self._rules)
        try:
            newest = self._newest()
        except RecsysError as error:
            logger.warning("%s; what was loaded serves on", error)
            return
        if newest not in (self._loaded, self._refused):
            self._reload(newest)
        engine = self.service.engine
        if engine is not None and (changes := engine.new_items()):
            self.service.between_requests(partial(engine.apply_items, changes))
        self._look_at_variants()

    def _reload(self, newest: object) -> None:
        try:
            engine = self._load()
            rules = engine.make_rules(self._surfaces)
        except Exception as error:  # whatever is wrong with it, the server lives on
            self._refused = newest
            logger.error("what is new cannot be loaded: %s; what was loaded before serves on", error)
            return
        self._loaded, self._refused, self._engine = newest, None, engine

        def replace() -> None:
            # Those that came while it was loaded: who sent them was told that the next request can rank them.
            engine.apply_items(engine.new_items())
            engine.use_rules(rules)
            self.service.engine = engine

        self.service.between_requests(replace)
        logger.warning("serving %s from the next request on", engine.bundle_id)
        if self._rules is not None and self.service.rules_refused:
            # It may have the columns that the one before lacked.
            self._follow_rules(self._rules)

    def _look_at_variants(self) -> None:
        """Not before the champion answers: nobody waits for an experiment to begin."""
        if self._variants is not None and self._engine is not None:
            self._variants.look(self.service, self._engine, self._surfaces)

    def _follow_rules(self, file: SurfacesFile) -> None:
        engine = self._engine
        if engine is None:
            return
        try:
            surfaces = file.read()
            rules = engine.make_rules(surfaces)
        except Exception as error:  # whatever is wrong with them, the server lives on
            self.service.rules_refused = True
            logger.error("the rules of recsys.toml cannot be used: %s; those before them stay in force", error)
            return
        self.service.rules_refused = False
        if surfaces == self._surfaces:
            return
        self._surfaces = surfaces

        def replace() -> None:
            engine.use_rules(rules)
            self.service.surfaces = surfaces

        self.service.between_requests(replace)
        logger.warning("following the rules of %s from the next request on", sorted(surfaces) or "no surface")
