"""The engines of experiments are loaded once, shared where they are the same, and follow recsys.toml."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.config import Surface
from recsys.errors import BundleError
from serving.events import EventLog
from serving.service import Service
from serving.variant_engines import VariantEngines
from tests.serving.fake_engine import CONFIG, FakeEngine

TOML = """
name = "shop"
[source]
interactions = "interactions.csv"
[interaction_types]
click = { label = true }
"""
SPLIT = """
[experiments.e]
variants.control = { share = 0.5 }
variants.new = { bundle = "b2", share = 0.5 }
"""


class Bundles:
    """What there is to load."""

    def __init__(self, path: Path) -> None:
        self.path, self.loaded, self.filling, self.broken = path, list[str](), "first", set[str]()

    def load(self, bundle_id: str) -> FakeEngine:
        self.loaded.append(bundle_id)
        if bundle_id in self.broken:
            raise BundleError(f"{bundle_id}: there is no such bundle")
        engine = FakeEngine()
        engine.bundle_id = bundle_id
        return engine

    def write(self, experiments: str) -> None:
        self.path.write_text(TOML + experiments)
        # Two writes within the clock of the file system are a change as well.
        self.written = getattr(self, "written", 0) + 1
        os.utime(self.path, (self.written, self.written))


@pytest.fixture
def bundles(tmp_path: Path) -> Bundles:
    return Bundles(tmp_path / "recsys.toml")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with EventLog.open(tmp_path / "events.db") as log:
        yield Service(log, CONFIG, FakeEngine())


@pytest.fixture
def variants(bundles: Bundles) -> VariantEngines:
    return VariantEngines(bundles.path, bundles.load, lambda: bundles.filling)


def running(service: Service) -> dict[str, dict[str, str | None]]:
    """Experiment → variant → the bundle of its engine, None for the champion of the moment."""
    service.ready_engine()
    return {
        each.name: {name: engine and engine.bundle_id for name, engine in each.engines.items()}
        for each in service.experiments.running
    }


def test_an_experiment_begins_once_its_engines_are_loaded_and_ends_when_it_is_turned_off(service, bundles, variants):
    bundles.write("")
    variants.look(service, service.engine, {})
    assert running(service) == {}
    bundles.write(SPLIT)
    variants.look(service, service.engine, {})
    variants.look(service, service.engine, {})
    assert running(service) == {"e": {"control": None, "new": "b2"}}
    bundles.write(SPLIT + "enabled = false\n")
    variants.look(service, service.engine, {})
    assert running(service) == {}
    assert bundles.loaded == ["b2"]


def test_variants_of_one_bundle_share_an_engine_and_shadows_have_their_own(service, bundles, variants):
    more = (
        'variants.dark = { bundle = "b2", shadow = true }\n[experiments.f.variants]\nx = { bundle = "b2", share = 1 }\n'
    )
    bundles.write(SPLIT + more + 'y = { bundle = "fake-1", shadow = true }\n')
    variants.look(service, service.engine, {})
    assert sorted(bundles.loaded) == ["b2", "b2", "fake-1"]
    service.ready_engine()
    e, f = service.experiments.running
    assert e.engines["new"] is f.engines["x"]
    assert e.engines["dark"] is not e.engines["new"]
    assert f.engines["y"] is not service.engine


def test_a_variant_keeps_its_bundle_when_another_one_is_promoted(service, bundles, variants):
    champion = service.engine
    bundles.write('[experiments.e.variants]\nold = { bundle = "fake-1", share = 0.5 }\nnew = { share = 0.5 }\n')
    variants.look(service, champion, {})
    assert running(service) == {"e": {"old": "fake-1", "new": None}}
    assert service.experiments.running[0].engines["old"] is champion
    promoted = FakeEngine()
    promoted.bundle_id = "b9"
    variants.look(service, promoted, {})
    assert bundles.loaded == ["fake-1"]
    assert running(service) == {"e": {"old": "fake-1", "new": None}}


def test_an_experiment_whose_bundle_cannot_be_loaded_does_not_take_place(service, bundles, variants, caplog):
    bundles.broken.add("b2")
    bundles.write(SPLIT + '[experiments.f]\nvariants.new = { bundle = "b3", share = 1 }\n')
    variants.look(service, service.engine, {})
    variants.look(service, service.engine, {})
    assert running(service) == {"f": {"new": "b3"}}
    assert bundles.loaded == ["b2", "b3"]
    assert "the bundle b2 cannot take part in experiments: b2: there is no such bundle" in caplog.text
    bundles.broken.clear()
    bundles.write(SPLIT)
    variants.look(service, service.engine, {})
    assert running(service) == {"e": {"control": None, "new": "b2"}}


def test_a_mistake_in_recsys_toml_leaves_the_experiments_as_they_are(service, bundles, variants, caplog):
    bundles.write(SPLIT)
    variants.look(service, service.engine, {})
    bundles.write(SPLIT.replace("0.5", "0.7"))
    variants.look(service, service.engine, {})
    assert running(service).keys() == {"e"}
    assert "the shares of the variants sum to 1.4; expected at most 1" in caplog.text


def test_engines_are_loaded_anew_with_the_online_store_and_follow_new_rules(service, bundles, variants):
    bundles.write(SPLIT)
    variants.look(service, service.engine, {})
    surfaces = {"home": Surface(exclude=["a"])}
    variants.look(service, service.engine, surfaces)
    service.ready_engine()
    engine = service.experiments.running[0].engines["new"]
    assert engine.rules.of("home") is not None
    bundles.filling = "second"
    variants.look(service, service.engine, surfaces)
    service.ready_engine()
    assert bundles.loaded == ["b2", "b2"]
    assert service.experiments.running[0].engines["new"] is not engine
    assert service.experiments.running[0].engines["new"].rules.of("home") is not None
