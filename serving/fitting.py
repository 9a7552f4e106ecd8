"""Whether a bundle fits the project that is to serve it: its ranker must have been trained on the features that this
version makes.

    promote(workspace.bundles, "shop-20111125-37c12139", partial(check_fits, FeatureSet.of_config(workspace.config)))
"""

from collections.abc import Sequence

from features.featureset import FeatureSet
from recsys.bundle import Bundle
from recsys.bundle_files import SCORER_FILE
from recsys.errors import BundleError
from recsys.interest import signals_of


def check_fits(features: FeatureSet, bundle: Bundle) -> None:
    """Raises BundleError that says what differs."""
    scorer = bundle.path / SCORER_FILE
    try:
        signals = signals_of(scorer)
    except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
        raise BundleError(f"{scorer}: {error}; expected a scorer, publish the bundle again") from error
    fitting_names(bundle, features, signals)


def fitting_names(bundle: Bundle, features: FeatureSet, signals: Sequence[str]) -> tuple[str, ...]:
    """The columns of the matrix of features, which are those of the ranker. Raises BundleError when they are not."""
    names = features.names(signals)
    if tuple(bundle.manifest.features) != names:
        different = sorted(set(bundle.manifest.features) ^ set(names)) or "their order"
        raise BundleError(
            f"{bundle.path}: the ranker's features are not those of this version, they differ in {different}; "
            "train again, or promote a bundle of this version"
        )
    return names
