"""Put the models of a pipeline into a bundle, make it the champion, and fill the online store.

Reads   cache/
Writes  bundles/BUNDLE_ID/, bundles/champion, features/online/, and the object store of [bundles] url
"""

import re
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from recsys.bundle import Manifest, list_bundles, publish
from recsys.bundle_files import (
    BATCH_SCORER_FILE,
    CATALOGUE_FILE,
    NEAREST_FILE,
    RANKER_FILES,
    RANKER_ONNX_FILE,
    RANKER_ROWS_FILE,
    SMALLER_ENCODER_FILES,
    TEXT_FILES,
    TRAINED_USERS_FILE,
    USER_ATTRIBUTES_FILE,
    VECTORS_FILE,
)
from recsys.forgetting.lineage import write_trained_users
from recsys.retrieval.nearest import NearestItems
from recsys.shelf import Shelf
from training.export_ranker import check_against_lightgbm
from training.parity import note_filling
from training.pipeline import Pipeline

PACKAGES = (
    "recsys",
    "torch",
    "transformers",
    "lightgbm",
    "onnxruntime-gpu",
    "onnxruntime",
    "polars",
    "feast",
    "numpy",
    "faiss-cpu",
)
NAME_LENGTH = 60


def bundle_id(pipeline: Pipeline) -> str:
    """The same models have the same id: name of the data set, day of the cut, hash of all that they depend on."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", pipeline.config.name).strip("-")[:NAME_LENGTH] or "recsys"
    return f"{name}-{pipeline.cut:%Y%m%d}-{pipeline.key[:8]}"


def publish_models(pipeline: Pipeline, report: dict[str, Any] | None, *, instead_of: str | None = None) -> Path:
    """Publish and promote the bundle, with the figures of its report if it was measured; returns its folder.

    A bundle that is there already is promoted as it is. instead_of: only as long as this one is champion; None:
    whichever is. Raises BundleError when it is not, StoreError when the store of the bundles does not answer.
    """
    identity, shelf = bundle_id(pipeline), Shelf(pipeline.workspace)
    target = pipeline.workspace.bundles / identity
    if target not in list_bundles(pipeline.workspace.bundles):
        manifest = _manifest(pipeline, identity, report)
        publish(pipeline.workspace.bundles, manifest, lambda folder: fill(pipeline, folder))
    shelf.upload(identity)
    # Features first: a server that starts in between finds all that the old champion needs as well.
    fill_online(pipeline)
    shelf.promote(identity, instead_of=instead_of)
    return target


def fill_online(pipeline: Pipeline) -> None:
    """Put what is known of items and users by now into the online store, and note which tables that came from."""
    pipeline.store.materialise(pipeline.end)
    note_filling(pipeline.workspace, pipeline.store)


def fill(pipeline: Pipeline, folder: Path) -> None:
    """Put every file of the bundle but its manifest into a folder."""
    text = pipeline.text.folder
    # A text model of an earlier version that was carried over has no graph for several users.
    others = [name for name in (*SMALLER_ENCODER_FILES.values(), BATCH_SCORER_FILE) if (text / name).exists()]
    for name in (*TEXT_FILES, *others):
        shutil.copyfile(text / name, folder / name)
    if len(pipeline.catalogue) > pipeline.config.retrieval.exact_up_to_items:
        NearestItems.of(np.load(folder / VECTORS_FILE, mmap_mode="r")).save(folder / NEAREST_FILE)
    trained = pipeline.ranker_folder(with_text=True)
    for name in RANKER_FILES:
        if (trained / name).exists():
            shutil.copyfile(trained / name, folder / name)
    pipeline.catalogue.table.write_parquet(folder / CATALOGUE_FILE)
    # A text model that was carried over may have learned from users of whom nothing is left since.
    of_text = np.load(text / TRAINED_USERS_FILE)
    write_trained_users(folder, np.union1d(of_text, pipeline.trained_users))
    if pipeline.catalogue.of_users is not None:
        (folder / USER_ATTRIBUTES_FILE).write_bytes(msgspec.json.encode(pipeline.catalogue.of_users))


def _manifest(pipeline: Pipeline, identity: str, report: dict[str, Any] | None) -> Manifest:
    text, tune, about = pipeline.config.text, pipeline.config.finetune, pipeline.text.about
    return Manifest(
        bundle_id=identity,
        created_at=datetime.now(UTC),
        dataset=pipeline.config.name,
        trained_from=pipeline.first,
        trained_until=pipeline.cut,
        versions=_versions(),
        features=list(pipeline.features.names(pipeline.text.signals)),
        channels=list(pipeline.channels.names),
        metrics={} if report is None else report["models"]["recsys"],
        text={
            "template": text.template,
            "column_tokens": text.column_tokens,
            "max_tokens": text.max_tokens,
            "history_items": tune.history_items,
            "dimension": about["dimension"],
            "uses_pretrained": about["uses_pretrained"],
            "validation": about["validation"],
            "texts": about["texts"],
            "tower": about["tower"],
            "encoders": about["encoders"],
            "scorer_difference": about["scorer_difference"],
            "stage": pipeline.text.folder.name,
            "settings": pipeline.text_settings_with(tune),
            "trained_until": about.get("trained_until", pipeline.cut.isoformat()),
        },
        ranker=_about_ranker(pipeline),
    )


def _about_ranker(pipeline: Pipeline) -> dict[str, Any]:
    """Of trees how many there are, how that was chosen, and how far the scores of ONNX Runtime are from LightGBM's; and
    whether a network scores beside them."""
    trees, folder = pipeline.trees(with_text=True), pipeline.ranker_folder(with_text=True)
    if trees is None:
        return {}
    rows = np.load(folder / RANKER_ROWS_FILE)
    difference = check_against_lightgbm(trees, folder / RANKER_ONNX_FILE, rows)
    chosen = msgspec.to_builtins(pipeline.chosen_trees)
    return {**pipeline.parts_of_ranker, "onnx_difference": difference, "chosen": chosen}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one of the two builds of ONNX Runtime
            continue
    return found
