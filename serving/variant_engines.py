"""Load the engines that the experiments of recsys.toml name, and follow that section while the server runs.

An experiment takes place once every engine that it needs is there: with one of them missing, its users would be the
users of another one. Variants of one bundle share an engine, with each other and with the champion; shadows have theirs
for themselves, for another thread asks them.

Reads   recsys.toml
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import time
from typing import Final, NamedTuple

from recsys.config import CHAMPION, Experiment, load_config
from recsys.errors import RecsysError
from serving.protocol import Engine
from serving.rules import Surfaces
from serving.service import Service
from serving.surfaces import FileState, file_state
from serving.variants import Experiments, Running

_LOG: Final = logging.getLogger(__name__)


class Key(NamedTuple):
    """What an engine is for."""

    bundle: str
    shadow: bool


class Loaded(NamedTuple):
    """An engine, and what it was made from."""

    engine: Engine
    filling: object
    surfaces: Surfaces


class VariantEngines:
    """For one thread, which is not that of the requests."""

    def __init__(self, config_path: Path, load: Callable[[str], Engine], filling: Callable[[], object]) -> None:
        """load     the engine of a bundle, by its id
        filling  of the online store; an engine is loaded anew with each one
        """
        self._path, self._load, self._filling = config_path, load, filling
        self._state: FileState = None
        self._experiments: Mapping[str, Experiment] = {}
        self._loaded: dict[Key, Loaded] = {}
        self._refused: dict[Key, object] = {}
        """What could not be loaded, and from what."""
        self._running: tuple[Running, ...] = ()

    def look(self, service: Service, champion: Engine, surfaces: Surfaces) -> None:
        """Have the experiments of recsys.toml take place from the next request on.

        champion  the latest engine of it, which may not have begun to serve
        """
        self._read()
        wanted = {name: each for name, each in self._experiments.items() if each.enabled and time() < each.span[1]}
        if not wanted and not self._running:
            return
        keys = {
            _key(variant.bundle, variant.shadow, champion)
            for each in wanted.values()
            for variant in each.variants.values()
        }
        own = {key for key in keys if key != Key(champion.bundle_id, shadow=False)}
        try:
            filling = self._filling() if own else None
        except RecsysError as error:
            _LOG.warning("%s; the experiments go on as they are", error)
            return
        for gone in self._loaded.keys() - own:
            del self._loaded[gone]
        for key in sorted(own):
            self._bring_up_to_date(service, key, filling, surfaces)
        running = tuple(
            found for name, each in wanted.items() if (found := self._begin(name, each, champion)) is not None
        )
        if _differs(running, self._running):
            self._running = running
            service.between_requests(partial(setattr, service, "experiments", Experiments(running)))
            _LOG.warning("experiments from the next request on: %s", [each.name for each in running] or "none")

    def _read(self) -> None:
        state = file_state(self._path)
        if state == self._state:
            return
        self._state = state
        try:
            self._experiments = load_config(self._path).experiments
        except RecsysError as error:
            _LOG.error("%s; the experiments before stay in force", error)
            return
        # What was put right since may be loaded now.
        self._refused = {}

    def _bring_up_to_date(self, service: Service, key: Key, filling: object, surfaces: Surfaces) -> None:
        """Load it, or have it follow the rules and the items that are new."""
        found = self._loaded.get(key)
        thread = service.shadows if key.shadow else service
        made_from = filling, surfaces
        if self._refused.get(key) == made_from:
            return
        try:
            if found is None or found.filling != filling:
                engine = self._load(key.bundle)
                engine.use_rules(engine.make_rules(surfaces))
            else:
                engine = found.engine
                if found.surfaces != surfaces:
                    thread.between_requests(partial(engine.use_rules, engine.make_rules(surfaces)))
                if changes := engine.new_items():
                    thread.between_requests(partial(engine.apply_items, changes))
        except Exception as error:  # whatever is wrong with it, the server lives on
            self._refused[key] = made_from
            self._loaded.pop(key, None)
            _LOG.error("the bundle %s cannot take part in experiments: %s", key.bundle, error)
            return
        self._loaded[key] = Loaded(engine, filling, surfaces)

    def _begin(self, name: str, settings: Experiment, champion: Engine) -> Running | None:
        """None while an engine of it is missing."""
        engines: dict[str, Engine | None] = {}
        for variant, each in settings.variants.items():
            key = _key(each.bundle, each.shadow, champion)
            if each.bundle == CHAMPION and not each.shadow:
                engines[variant] = None
            elif key == Key(champion.bundle_id, shadow=False):
                engines[variant] = champion
            elif key in self._loaded:
                engines[variant] = self._loaded[key].engine
            else:
                return None
        return Running(name, settings, engines)


def _key(bundle: str, shadow: bool, champion: Engine) -> Key:
    return Key(champion.bundle_id if bundle == CHAMPION else bundle, shadow)


def _differs(one: tuple[Running, ...], other: tuple[Running, ...]) -> bool:
    """Engines are compared by what they are, not by what they hold."""
    return [_identity(each) for each in one] != [_identity(each) for each in other]


def _identity(running: Running) -> object:
    return running.name, running.settings, {name: id(engine) for name, engine in running.engines.items()}
