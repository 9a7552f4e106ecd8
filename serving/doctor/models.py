"""Checks of the bundle, of the online store, and of whether they go together."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import polars as pl

from features.featureset import FeatureSet
from features.online_behaviour import OnlineBehaviour
from recsys.bundle import Bundle, Manifest, champion, open_bundle
from recsys.bundle_files import CATALOGUE_FILE, SCORER_FILE
from recsys.catalogue import Catalogue
from recsys.config import Precision
from recsys.errors import FeatureStoreError
from recsys.interest import CUDA, LABELS, execution_providers, has_nvidia_gpu, onnx_session, signal_names
from recsys.workspace import Workspace
from serving.doctor.finding import Finding, broken, doubtful, good

OLD: Final = timedelta(days=2)
"""A store that is filled every day was then passed over."""

FUTURE: Final = timedelta(minutes=5)
"""Clocks of machines differ by less."""


def open_champion(workspace: Workspace) -> Bundle:
    """The bundle that serves, every file of it compared with its hash. Raises BundleError."""
    return open_bundle(champion(workspace.bundles))


def bundle_found(bundle: Bundle, now: datetime) -> Finding:
    manifest = bundle.manifest
    until = (
        "" if manifest.trained_until is None else f", trained on what happened until {manifest.trained_until:%Y-%m-%d}"
    )
    size = sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file())
    return good(
        "bundle",
        f"{manifest.bundle_id}, {age(now - manifest.created_at)} old{until}; {len(manifest.files)} files, "
        f"{size / 1e6:.0f} MB, each as its SHA-256 says",
    )


def features_match(workspace: Workspace, bundle: Bundle) -> Finding:
    about = onnx_session(bundle.path / SCORER_FILE).get_modelmeta().custom_metadata_map
    expected = FeatureSet.of_config(workspace.config).names(signal_names(json.loads(about[LABELS])))
    found = tuple(bundle.manifest.features)
    if found == expected:
        return good("features", f"the bundle's {len(found)} are those of recsys.toml and of this version")
    different = sorted(set(found) ^ set(expected)) or ["their order"]
    shown = ", ".join(different[:5]) + (f" and {len(different) - 5} more" if len(different) > 5 else "")
    return broken(
        "features",
        f"the bundle has {len(found)}, recsys.toml and this version make {len(expected)}; they differ in {shown}",
        "run `recsys train`, or promote a bundle of this version",
    )


def store_filled(workspace: Workspace, bundle: Bundle | None, now: datetime) -> Iterator[Finding]:
    if not workspace.features.is_dir():
        raise FeatureStoreError(f"{workspace.features}: there are no features; run `recsys train`")
    store = OnlineBehaviour.of(workspace)
    as_of, written_at = store.online_as_of(), store.online_written_at()
    store.online_rows(["recsys doctor"])
    where = workspace.config.features.online_store.partition(":")[0]
    said = f"{where} answers; filled {age(now - written_at)} ago with what was known at {as_of:%Y-%m-%d %H:%M}Z"
    if now - written_at > OLD:
        yield doubtful("feature store", said, "fill it each day: run `recsys train`, or the job that does")
    else:
        yield good("feature store", said)
    if bundle is not None:
        yield _items_filled(store, bundle)


def _items_filled(store: OnlineBehaviour, bundle: Bundle) -> Finding:
    catalogue = Catalogue.load(pl.read_parquet(bundle.path / CATALOGUE_FILE))
    known = store.online_items(catalogue).behaviour
    filled = int((known == known).any(axis=1).sum())
    said = f"{filled} of the bundle's {len(catalogue)} items have features"
    if filled == 0 and len(catalogue):
        return broken("feature store items", said, "the store is of other data than the bundle: run `recsys train`")
    return good("feature store items", said)


def versions_match(manifest: Manifest) -> Finding:
    """The packages that wrote the models, and those that read them."""
    different = []
    for package, wrote in sorted(manifest.versions.items()):
        try:
            reads = version(package)
        except PackageNotFoundError:
            # Those of training are not there where only serving is installed.
            continue
        if reads != wrote:
            different.append(f"{package} {reads} reads what {wrote} wrote")
    if different:
        return doubtful(
            "versions", "; ".join(different), "install the versions of requirements/serve.txt, or train with these"
        )
    return good("versions", "the packages that are here have the versions that wrote the bundle")


def gpu_used(bundle: Bundle, precision: Precision) -> Finding:
    if not has_nvidia_gpu():
        if precision == "fp16":
            return doubtful(
                "onnxruntime",
                "text.precision is fp16, which is for a GPU, but no NVIDIA GPU can be reached: it runs on the CPU",
                "give the container or the machine its GPU (`nvidia-smi` shows it), or set text.precision to auto",
            )
        return good("onnxruntime", "on the CPU; there is no NVIDIA GPU")
    if CUDA in execution_providers() and CUDA in onnx_session(bundle.path / SCORER_FILE).get_providers():
        return good("onnxruntime", "on the GPU")
    return doubtful(
        "onnxruntime",
        "there is an NVIDIA GPU, but ONNX Runtime cannot use it: everything runs on the CPU",
        "pip install -r requirements/gpu.txt, which brings CUDA and cuDNN, and uninstall the package onnxruntime",
    )


def clock_right(bundle: Bundle | None, workspace: Workspace, now: datetime) -> Finding:
    """Nothing that is on the disk can be of the future."""
    seen = {}
    if bundle is not None:
        seen["the bundle"] = bundle.manifest.created_at
    if workspace.features.is_dir():
        # When it is empty another check says so.
        with suppress(FeatureStoreError):
            seen["the feature store"] = OnlineBehaviour.of(workspace).online_written_at()
    ahead = [f"{what} was made {age(at - now)} from now" for what, at in seen.items() if at - now > FUTURE]
    if ahead:
        return broken(
            "clock", f"it says {now:%Y-%m-%d %H:%M}Z; {', '.join(ahead)}", "set the clock of this machine by NTP"
        )
    return good("clock", f"{now:%Y-%m-%d %H:%M}Z, later than all that was made")


def age(span: timedelta) -> str:
    """As people say it."""
    seconds = max(span.total_seconds(), 0.0)
    for unit, of in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * of:
            return f"{seconds / of:.0f} {unit}"
    return f"{seconds:.0f} seconds"
