from pathlib import Path

import msgspec
import pytest

from recsys.attributes import Attributes
from recsys.bundle import Bundle, open_bundle
from recsys.bundle_files import USER_ATTRIBUTES_FILE
from recsys.errors import BundleError
from serving.user_attributes import user_attributes_of
from tests.serving.made_bundle import publish_made_bundle

KINDS = {"age": "numeric", "country": "categorical"}
TRAINED = Attributes(KINDS, {"country": {"FR": 0, "NO": 1}})


@pytest.fixture
def bundle(tmp_path: Path, made_scorer: Path) -> Bundle:
    """A bundle that was trained without attributes of users."""
    return open_bundle(publish_made_bundle(tmp_path, made_scorer))


def test_the_names_have_the_numbers_that_the_bundle_was_trained_with(bundle):
    (bundle.path / USER_ATTRIBUTES_FILE).write_bytes(msgspec.json.encode(TRAINED))
    found = user_attributes_of(bundle, KINDS)
    assert found == TRAINED
    assert found.of_stored([31.0, "NO"]).tolist() == [31, 1]


def test_a_project_without_attributes_of_users_needs_none(bundle):
    assert user_attributes_of(bundle, {}) is None


@pytest.mark.parametrize("kinds", [{}, {"age": "numeric"}, {"age": "numeric", "country": "numeric"}])
def test_a_bundle_that_was_trained_with_others_is_refused(bundle, kinds):
    (bundle.path / USER_ATTRIBUTES_FILE).write_bytes(msgspec.json.encode(TRAINED))
    with pytest.raises(BundleError, match=r"user_attributes.json: trained with user_attributes .* train again"):
        user_attributes_of(bundle, kinds)
    (bundle.path / USER_ATTRIBUTES_FILE).unlink()
    if kinds:
        with pytest.raises(BundleError, match=r"trained with user_attributes \{\}, recsys.toml has"):
            user_attributes_of(bundle, kinds)
