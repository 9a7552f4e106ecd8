import gc
import weakref
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import msgspec
import numpy as np
import pytest

from recsys.config import Surface
from recsys.errors import BundleError
from serving.events import EventLog
from serving.item_types import ItemChange, ItemVersion
from serving.reload import Reloader
from serving.service import Service
from serving.types import Interaction
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.made_bundle import made_engine


class Source:
    """Engines to load: each has the name of what was newest."""

    def __init__(self) -> None:
        self.newest = "first"
        self.loaded: list[str] = []
        self.fails = False

    def load(self) -> FakeEngine:
        self.loaded.append(self.newest)
        if self.fails:
            raise BundleError("bundles/second: a file is missing")
        engine = FakeEngine()
        engine.bundle_id = self.newest
        return engine


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def service(tmp_path: Path):
    with EventLog.open(tmp_path / "events.db") as log:
        yield Service(log, CONFIG)


@pytest.fixture
def reloader(service: Service, source: Source) -> Reloader:
    found = Reloader(service, source.load, lambda: source.newest)
    found.first()
    return found


def test_what_is_new_takes_the_place_of_what_was_before_the_next_request(service, source, reloader):
    reloader.look()
    assert source.loaded == ["first"]
    source.newest = "second"
    reloader.look()
    before = service.engine
    assert before is not None
    assert before.bundle_id == "first"
    assert service.ready_engine().bundle_id == "second"
    reloader.look()
    assert source.loaded == ["first", "second"]


def test_what_cannot_be_loaded_is_refused_once_and_the_old_one_serves_on(service, source, reloader, caplog):
    source.newest, source.fails = "second", True
    reloader.look()
    reloader.look()
    assert service.ready_engine().bundle_id == "first"
    assert source.loaded == ["first", "second"]
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "what is new cannot be loaded: bundles/second: a file is missing"
    ]
    source.newest, source.fails = "third", False
    reloader.look()
    assert service.ready_engine().bundle_id == "third"


def test_when_there_is_nothing_to_load_any_more_the_old_one_serves_on(service, source, caplog):
    def newest() -> str:
        if source.newest == "nothing":
            raise BundleError("bundles/champion: no bundle was promoted yet")
        return source.newest

    reloader = Reloader(service, source.load, newest)
    reloader.first()
    source.newest = "nothing"
    reloader.look()
    assert service.ready_engine().bundle_id == "first"
    assert "no bundle was promoted yet; what was loaded serves on" in caplog.text


def test_items_that_came_while_an_engine_was_loaded_are_in_it(service, source, reloader, monkeypatch):
    late = ItemChange(1, ItemVersion("z", {"title": "Z"}), np.ones(1, dtype=np.float32))
    monkeypatch.setattr(FakeEngine, "new_items", lambda self: [] if "z" in self.catalogue else [late])
    source.newest = "second"
    reloader.look()
    assert service.ready_engine().has_item("z")
    assert [change.item.item_id for change in service.ready_engine().changes].count("z") >= 1


class ChangingRules:
    """Stands for the file of the surfaces."""

    def __init__(self) -> None:
        self.surfaces: dict[str, Surface] = {}
        self.changed = True

    def has_changed(self) -> bool:
        return self.changed

    def read(self) -> dict[str, Surface]:
        self.changed = False
        return self.surfaces

    def write(self, **surfaces: Surface) -> None:
        self.surfaces, self.changed = surfaces, True


HOME, BY_SIZE = Surface(exclude=["a"]), Surface(filter="size > 1")


@pytest.fixture
def rules() -> ChangingRules:
    return ChangingRules()


@pytest.fixture
def following(service: Service, source: Source, rules: ChangingRules) -> Reloader:
    found = Reloader(service, source.load, lambda: source.newest, rules)  # type: ignore[arg-type]
    found.first()
    return found


def test_a_new_engine_has_the_rules_that_are_in_force(service, source, rules, following):
    rules.write(home=HOME)
    following.look()
    source.newest = "second"
    following.look()
    engine = service.ready_engine()
    assert (engine.bundle_id, service.surfaces) == ("second", {"home": HOME})
    assert engine.rules.of("home") is not None


def test_rules_and_an_engine_that_are_new_at_once_both_take_effect(service, source, rules, following):
    rules.write(home=HOME)
    source.newest = "second"
    following.look()
    engine = service.ready_engine()
    assert (engine.bundle_id, service.surfaces) == ("second", {"home": HOME})
    assert engine.rules.of("home") is not None


def test_an_engine_that_the_rules_do_not_fit_is_refused(service, source, rules, following, monkeypatch, caplog):
    with monkeypatch.context() as patched:
        patched.setattr(FakeEngine, "columns", {"size": 2})
        rules.write(home=BY_SIZE)
        following.look()
    source.newest = "second"
    following.look()
    assert service.ready_engine().bundle_id == "first"
    assert "what is new cannot be loaded: [surfaces.home] filter: 'size > 1'" in caplog.messages[-1]


def test_rules_that_were_refused_are_tried_again_with_a_new_engine(service, source, rules, following, monkeypatch):
    rules.write(home=BY_SIZE)
    following.look()
    assert (service.rules_refused, service.surfaces) == (True, {})
    source.newest = "second"
    monkeypatch.setattr(FakeEngine, "columns", {"size": 2})
    following.look()
    engine = service.ready_engine()
    assert (engine.bundle_id, service.surfaces, service.rules_refused) == ("second", {"home": BY_SIZE}, False)
    assert engine.rules.of("home") is not None


def test_rules_that_say_the_same_are_not_put_in_force_again(service, rules, following, monkeypatch):
    rules.write(home=HOME)
    following.look()
    before = service.ready_engine().rules
    rules.write(home=HOME)
    following.look()
    assert service.ready_engine().rules is before


def test_items_of_other_processes_are_followed(service, reloader, monkeypatch):
    other = ItemChange(1, ItemVersion("z", {"title": "Z"}), np.ones(1, dtype=np.float32))
    monkeypatch.setattr(FakeEngine, "new_items", lambda self: [] if "z" in self.catalogue else [other])
    reloader.look()
    assert service.ready_engine().has_item("z")


def test_it_looks_as_often_as_configured_until_told_to_stop(source, tmp_path):
    config = msgspec.structs.replace(CONFIG, features=msgspec.structs.replace(CONFIG.features, refresh_seconds=0.001))
    stop, looks = Event(), []
    with EventLog.open(tmp_path / "events.db") as log:
        reloader = Reloader(Service(log, config), source.load, lambda: source.newest)
        reloader.look = lambda: looks.append(None) or (stop.set() if len(looks) == 3 else None)  # type: ignore[method-assign]
        reloader.watch(stop)
    assert len(looks) == 3


def test_an_engine_finds_the_items_of_the_log_that_it_has_not_followed(tmp_path, made_scorer):
    engine = made_engine(tmp_path, made_scorer)
    assert engine.new_items() == []
    with EventLog.open(tmp_path / "events.db") as log:
        log.submit_items([ItemVersion("n", {"title": "red apple"}), ItemVersion("p1", None)]).result()
    changes = engine.new_items()
    assert sorted(change.item.item_id for change in changes) == ["n", "p1"]
    engine.apply_items(changes)
    assert engine.has_item("n")
    assert not engine.has_item("p1")
    assert engine.new_items() == []


def test_an_engine_says_how_new_is_what_it_knows(tmp_path, made_scorer):
    engine = made_engine(tmp_path, made_scorer)
    with EventLog.open(tmp_path / "events.db") as log:
        at = datetime.fromtimestamp(1e9 + 30, UTC)
        log.append([Interaction(user_id="u", item_id="a1", event_type="click", timestamp=at)])
    engine.catch_up()
    found = engine.freshness()
    assert (found.as_of, found.written_at, found.events) == (1e9, 1e9 + 60, 1)
    assert found.latest == pytest.approx(1e9 + 30, abs=1e-5)


def test_the_server_knows_whether_it_refuses_something_newer(service, source, reloader):
    seen = []
    for newest, fails in (("second", True), ("second", True), ("first", False), ("second", True), ("third", False)):
        source.newest, source.fails = newest, fails
        reloader.look()
        seen.append(service.bundle_refused)
    assert seen == [True, True, False, True, False]
    # Neither what serves nor what was refused was loaded again.
    assert source.loaded == ["first", "second", "third"]


def test_nothing_to_load_is_something_refused(service, reloader, monkeypatch):
    def none() -> str:
        raise BundleError("bundles/champion: no bundle was promoted yet")

    monkeypatch.setattr(reloader, "_newest", none)
    reloader.look()
    assert service.bundle_refused


def test_what_other_processes_changed_is_taken_over_once_while_nobody_asks(service, reloader, monkeypatch):
    found, other = [], ItemChange(1, ItemVersion("z", {"title": "Z"}), np.ones(1, dtype=np.float32))

    def new_items(self: FakeEngine) -> list[ItemChange]:
        found.append(other)
        return [] if "z" in self.catalogue else [other]

    monkeypatch.setattr(FakeEngine, "new_items", new_items)
    for _ in range(3):
        reloader.follow_items()
    assert len(found) == 1
    assert len(service.ready_engine().changes) == 1
    reloader.follow_items()
    assert len(found) == 2


def watched(reloader: Reloader, monkeypatch: pytest.MonkeyPatch, *, rounds: int) -> list[str]:
    """What a reloader does in so many rounds."""
    stop, done = Event(), []
    monkeypatch.setattr("serving.reload.SIGN_EVERY_S", 0.001)
    monkeypatch.setattr(reloader, "look", lambda: done.append("look"))

    def follow_items() -> None:
        done.append("items")
        if len(done) >= rounds:
            stop.set()
        raise OSError("the log is gone")

    monkeypatch.setattr(reloader, "follow_items", follow_items)
    reloader.watch(stop)
    return done


def test_a_sign_makes_it_look_at_once_and_items_are_followed_meanwhile(service, source, monkeypatch, caplog):
    signs = iter([1, 1, 2, 2, 3])
    reloader = Reloader(service, source.load, lambda: source.newest, sign=lambda: next(signs, 3))
    assert watched(reloader, monkeypatch, rounds=6) == ["items", "look", "items", "look", "items", "items"]
    # And whatever fails, it goes on.
    assert "what is new cannot be followed: OSError: the log is gone" in caplog.text


def test_an_engine_that_lost_its_place_leaves_the_memory(service, source, monkeypatch):
    left = []

    def load() -> FakeEngine:
        engine = source.load()
        # As parts of an engine do: only the collector ends it.
        engine.itself = engine
        left.append(weakref.ref(engine))
        return engine

    gc.disable()
    try:
        reloader = Reloader(service, load, lambda: source.newest)
        reloader.first()
        source.newest = "second"
        reloader.look()
        assert service.ready_engine().bundle_id == "second"
        assert left[0]() is not None
        watched(reloader, monkeypatch, rounds=1)
        assert left[0]() is None
    finally:
        gc.enable()


def test_a_server_begins_with_the_champion_before_when_this_one_is_broken_and_follows_when_it_is_mended(
    service, source, caplog
):
    before = FakeEngine()
    before.bundle_id = "before"
    source.fails = True
    reloader = Reloader(service, source.load, lambda: source.newest, load_before=lambda: before)
    reloader.first()
    reloader.look()
    assert (service.ready_engine().bundle_id, service.bundle_refused) == ("before", True)
    assert "a file is missing; before, the one before, serves" in caplog.text
    source.newest, source.fails = "first, mended", False
    reloader.look()
    assert (service.ready_engine().bundle_id, service.bundle_refused) == ("first, mended", False)


def test_without_a_whole_champion_before_the_server_ends_with_what_is_wrong_with_this_one(service, source):
    def none() -> FakeEngine:
        raise BundleError("no champion is known from before")

    source.fails = True
    for load_before in (None, none):
        reloader = Reloader(service, source.load, lambda: source.newest, load_before=load_before)
        with pytest.raises(BundleError, match="a file is missing"):
            reloader.first()
    assert service.engine is None
