"""Embed a catalogue: only texts that were not encoded before are, and a run that was killed goes on where it stopped.

Reads   the champion of bundles/, tables/items.parquet
Writes  cache/embeddings.db   (recsys.vectorcache)

    recsys embed --config recsys.toml
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from recsys.bundle import champion, open_bundle
from recsys.catalogue import Catalogue
from recsys.cli import CONFIG_OPTION
from recsys.encoder import ItemEncoder, bundle_encoder, bundle_text
from recsys.interest import Vectors
from recsys.vectorcache import VectorCache, key_of_text
from recsys.workspace import Workspace

LONG_WORK: Final = 500
"""More new texts than this show their progress."""
SECONDS_BETWEEN_WRITES: Final = 5.0
"""Of work: what a killed run loses."""


class Embedded(NamedTuple):
    """Unit vectors float32 (n, d) in the order of the texts, and what they cost."""

    vectors: Vectors
    encoded: int
    """Distinct texts that were new."""
    reused: int
    """Distinct texts that the cache had."""
    seconds: float
    """Of encoding and writing the new ones."""


def embed(texts: Sequence[str], encoder: ItemEncoder, cache_path: Path) -> Embedded:
    """The vector of each text, from the cache or encoded and added to it.

    Raises DataError when the cache cannot be used.
    """
    if not texts:
        return Embedded(np.zeros((0, encoder.dimension), dtype=np.float32), 0, 0, 0.0)
    keys = [key_of_text(text) for text in texts]
    place = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    missing = dict(zip(keys, texts, strict=True))
    vectors = np.zeros((len(place), encoder.dimension), dtype=np.float32)
    with VectorCache.open(cache_path, encoder.fingerprint) as cache:
        for key, vector in cache.get(list(place)):
            vectors[place[key]] = vector
            del missing[key]
        started = time.monotonic()
        if missing:
            new = np.array([place[key] for key in missing])
            vectors[new] = _encode(missing, encoder, cache)
        seconds = time.monotonic() - started
    return Embedded(vectors[[place[key] for key in keys]], len(missing), len(place) - len(missing), seconds)


def _encode(texts: dict[bytes, str], encoder: ItemEncoder, cache: VectorCache) -> Vectors:
    """Encode, and write what is done every few seconds: float32 (n, d)."""
    keys = list(texts)
    vectors = np.zeros((len(keys), encoder.dimension), dtype=np.float32)
    unwritten: list[tuple[bytes, NDArray[np.float32]]] = []
    written_at = time.monotonic()
    for rows, found in encoder.batches(list(texts.values()), show_progress=len(keys) > LONG_WORK):
        vectors[rows] = found
        unwritten += zip((keys[row] for row in rows), found, strict=True)
        if time.monotonic() - written_at >= SECONDS_BETWEEN_WRITES:
            cache.put(unwritten)
            unwritten, written_at = [], time.monotonic()
    cache.put(unwritten)
    return vectors


@click.command("embed")
@CONFIG_OPTION
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of the encoder.")
def embed_command(config_path: Path, threads: int) -> None:
    """Encode the catalogue with the champion's text model; only new and changed texts cost anything."""
    workspace = Workspace.open(config_path).with_tables()
    bundle = open_bundle(champion(workspace.bundles))
    encoder = bundle_encoder(bundle, workspace.config.text.precision, threads=threads)
    texts = bundle_text(bundle, encoder).of_table(Catalogue.load(workspace).table)
    done = embed(texts, encoder, workspace.embeddings)
    speed = f", {done.encoded / done.seconds:.0f} texts/s" if done.encoded else ""
    print(f"{len(texts)} items of {bundle.manifest.bundle_id}: {done.encoded} texts new, {done.reused} reused{speed}")
