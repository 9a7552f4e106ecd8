from itertools import chain
from pathlib import Path

from feast import FeatureService, FeatureView

from features.definitions import feature_objects
from tests.features.log import FEATURES

OBJECTS = feature_objects(Path("folder"), FEATURES)
VIEWS = {found.name: found for found in OBJECTS if isinstance(found, FeatureView)}
FIELDS = {
    "item_behaviour": FEATURES.item_fields,
    "item_exposure": FEATURES.exposure_fields,
    "user_behaviour": FEATURES.user_fields,
    "user_history": FEATURES.history_fields,
    "user_affinity": FEATURES.affinity_fields,
}


def test_each_view_has_its_key_its_fields_and_its_folder_of_snapshots():
    assert {name: view.join_keys for name, view in VIEWS.items()} == {
        "item_behaviour": ["item_id"],
        "item_exposure": ["item_id"],
        "user_behaviour": ["user_id"],
        "user_history": ["user_id"],
        "user_affinity": ["user_id"],
    }
    for name, fields in FIELDS.items():
        assert [(field.name, str(field.dtype)) for field in VIEWS[name].features] == [
            (field.name, field.kind) for field in fields
        ]
        assert VIEWS[name].batch_source.path == f"folder/{name}/*.parquet"
        assert VIEWS[name].batch_source.timestamp_field == "event_timestamp"


def test_what_is_known_does_not_expire():
    assert not any(view.ttl for view in VIEWS.values())


def test_one_service_holds_every_view():
    (service,) = (found for found in OBJECTS if isinstance(found, FeatureService))
    assert service.name == "ranking"
    assert {projection.name for projection in service.feature_view_projections} == set(VIEWS)


def test_every_field_says_what_it_means():
    assert all(field.description for field in chain(*FIELDS.values()))


def test_the_fields_that_are_read_together_have_different_names():
    names = [field.name for field in (*FEATURES.user_fields, *FEATURES.history_fields, *FEATURES.affinity_fields)]
    assert len(set(names)) == len(names)
