"""Keep the engine of a running server up to date with what was trained and put into the online store since, and with
the rules of recsys.toml.

Every second it looks whether another bundle was promoted and which items other processes changed, and every
features.refresh_seconds for all else. A new engine is loaded beside the old one, in a thread of its own, and takes its
place between two requests. One that cannot be loaded is refused, and the old one serves on. So it is with rules.
"""

import gc
import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from recsys.errors import BundleError, RecsysError
from serving.protocol import Engine
from serving.rules import Surfaces
from serving.service import Service
from serving.surfaces import SurfacesFile
from serving.variant_engines import VariantEngines

SIGN_EVERY_S: Final = 1.0

logger: Final = logging.getLogger(__name__)


class Reloader:
    """For one thread, which is not that of the requests."""

    def __init__(
        self,
        service: Service,
        load: Callable[[], Engine],
        newest: Callable[[], object],
        rules: SurfacesFile | None = None,
        sign: Callable[[], object] = lambda: None,
        load_before: Callable[[], Engine] | None = None,
        variants: VariantEngines | None = None,
    ) -> None:
        """newest  what `load` would load; quick, and equal as long as that is the same
        rules   the surfaces of the project; None: there are none, ever
        sign    another value whenever `newest` is to be asked at once: quicker still, and never raises
        load_before  the engine to begin with when `load` raises BundleError: of the champion before
        variants     the engines of its experiments; None: there are none, ever
        """
        self.service = service
        self._load, self._newest, self._rules, self._sign = load, newest, rules, sign
        self._load_before, self._variants = load_before, variants
        self._engine: Engine | None = None
        """The latest one, which may not have begun to serve."""
        self._surfaces: Surfaces = {}
        """Whose rules it has."""
        self._loaded: object = None
        self._refused: object = None
        self._waiting = False
        """Whether changes of items wait for the next request."""
        self._replaced = False
        """Whether an engine has lost its place, and may still be in memory."""

    def first(self) -> Engine:
        """Load the engine that the server begins with. Raises what `load` raises, if there is none to begin with."""
        if self.service.mirror is not None:
            self.service.mirror.begin()
        newest = self._newest()
        surfaces = {} if self._rules is None else self._rules.read()
        try:
            engine = self._load()
            self._loaded = newest
        except BundleError as error:
            engine = self._first_before(error)
            self._refused, self.service.bundle_refused = newest, True
        engine.use_rules(engine.make_rules(surfaces))
        self._engine, self._surfaces = engine, surfaces
        self.service.surfaces, self.service.engine = surfaces, engine
        return engine

    def _first_before(self, refused: BundleError) -> Engine:
        """A process that is started again is not to stay away for a bundle that the others have refused."""
        if self._load_before is None:
            raise refused
        try:
            engine = self._load_before()
        except BundleError:
            raise refused from None
        logger.error("the champion cannot be loaded: %s; %s, the one before, serves", refused, engine.bundle_id)
        return engine

    def watch(self, stop: Event) -> None:
        """Look for something new until told to stop."""
        if self.service.mirror is not None:
            # In a thread of its own: a store may be slow, and a bundle large.
            Thread(target=self.service.mirror.watch, args=[stop], name="bundle-store", daemon=True).start()
        self._look_at_variants()
        refresh_seconds = self.service.config.features.refresh_seconds
        sign, looked_at = self._sign(), time.monotonic()
        while not stop.wait(min(SIGN_EVERY_S, refresh_seconds)):
            found, now = self._sign(), time.monotonic()
            if self._replaced:
                self._replaced = False
                # Parts of an engine know each other; its files stay mapped until the collector comes by, which may be
                # after the next engine has been loaded.
                gc.collect()
            try:
                if found != sign or now - looked_at >= refresh_seconds:
                    sign, looked_at = found, now
                    self.look()
                else:
                    self.follow_items()
            except Exception as error:  # such as a log that was damaged: it may be mended by the next time
                logger.error("what is new cannot be followed: %s: %s", type(error).__name__, error)

    def look(self) -> None:
        """Load what is new, if anything, and follow the items that other processes changed."""
        if self._rules is not None and self._rules.has_changed():
            self._follow_rules(self._rules)
        try:
            newest = self._newest()
        except RecsysError as error:
            self.service.bundle_refused = True
            logger.warning("%s; what was loaded serves on", error)
            return
        if newest == self._loaded:
            # Also after a rollback from one that was refused.
            self.service.bundle_refused = False
        elif newest == self._refused:
            self.service.bundle_refused = True
        else:
            self._reload(newest)
        self.follow_items()
        self._look_at_variants()

    def follow_items(self) -> None:
        """Have the items that other processes changed followed from the next request on."""
        engine = self.service.engine
        if engine is None or self._waiting or not (changes := engine.new_items()):
            return

        def apply() -> None:
            self._waiting = False
            engine.apply_items(changes)

        # They stay new until then, and are not to be encoded again meanwhile.
        self._waiting = True
        self.service.between_requests(apply)

    def _reload(self, newest: object) -> None:
        try:
            engine = self._load()
            rules = engine.make_rules(self._surfaces)
        except Exception as error:  # whatever is wrong with it, the server lives on
            self._refused, self.service.bundle_refused = newest, True
            logger.error("what is new cannot be loaded: %s; what was loaded before serves on", error)
            return
        self._loaded, self._refused, self._engine = newest, None, engine
        self.service.bundle_refused = False

        def replace() -> None:
            # Those that came while it was loaded: who sent them was told that the next request can rank them.
            engine.apply_items(engine.new_items())
            engine.use_rules(rules)
            self.service.engine = engine
            self._replaced = True

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
