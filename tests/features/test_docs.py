from pathlib import Path

from features.docs import render
from features.families import text
from features.featureset import FeatureSet
from features.standing import STANDING_FEATURES
from features.topics import TOPIC_FEATURES
from recsys.interest import SIGNALS

DOCUMENT = Path(__file__).parents[2] / "docs" / "features.md"
FEATURES = FeatureSet.of(
    ["TYPE"],
    {"price": "numeric", "published_at": "timestamp", "NAME": "categorical"},
    {"NAME": "categorical", "TIME": "timestamp"},
)


def test_the_document_is_up_to_date():
    assert DOCUMENT.read_text("utf-8") == render(), "python -m features.docs > docs/features.md"


def test_every_column_of_the_matrix_has_a_row_with_meaning_unit_window_and_source():
    for feature in (*FEATURES.described, *text.SIGNAL_MEANINGS, *text.STANDING_MEANINGS, *text.TOPIC_MEANINGS):
        assert all(feature)
        name, *rest = feature
        assert f"| `{name}` | {' | '.join(rest)} |\n" in render()


def test_the_columns_that_a_text_model_adds_are_described_in_their_order():
    for described, names in (
        (text.SIGNAL_MEANINGS, SIGNALS),
        (text.STANDING_MEANINGS, STANDING_FEATURES),
        (text.TOPIC_MEANINGS, TOPIC_FEATURES),
    ):
        assert tuple(feature.name for feature in described) == names


def test_every_field_of_the_store_has_a_row():
    of_items = (*FEATURES.item_fields, *FEATURES.exposure_fields)
    of_users = (
        *FEATURES.user_fields,
        *FEATURES.history_fields,
        *FEATURES.affinity_fields,
        *FEATURES.attribute_fields,
    )
    for field in (*of_items, *of_users):
        assert f"| `{field.name}` | {field.kind} | {field.description} |\n" in render()
