import shutil

import msgspec
import pytest

from features.featureset import FeatureSet
from recsys.bundle import Bundle, open_bundle
from recsys.bundle_files import SCORER_FILE
from recsys.errors import BundleError
from serving.fitting import check_fits
from tests.serving.made_bundle import FEATURE_SET, publish_made_bundle


@pytest.fixture
def made(tmp_path, made_scorer) -> Bundle:
    return open_bundle(publish_made_bundle(tmp_path, made_scorer))


def with_features(bundle: Bundle, names: list[str]) -> Bundle:
    return Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, features=names))


def test_a_bundle_of_this_version_fits(made):
    check_fits(FEATURE_SET, made)


def test_what_is_missing_or_too_much_is_named(made):
    with pytest.raises(BundleError, match=r"they differ in \['moon_phase'\]; train again"):
        check_fits(FEATURE_SET, with_features(made, [*made.manifest.features, "moon_phase"]))
    with pytest.raises(BundleError, match=r"item_count_view"):
        check_fits(FeatureSet.of(["click", "view"]), made)


def test_the_order_of_the_columns_counts(made):
    with pytest.raises(BundleError, match="they differ in their order"):
        check_fits(FEATURE_SET, with_features(made, made.manifest.features[::-1]))


def test_a_scorer_that_cannot_be_loaded_is_named(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "copy")
    (tmp_path / "copy" / SCORER_FILE).write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"copy/scorer\.onnx: .*expected a scorer"):
        check_fits(FEATURE_SET, Bundle(tmp_path / "copy", made.manifest))
