"""The item tower of a bundle on ONNX Runtime: texts of items and queries to unit vectors, without a training framework.

Reads item_encoder*.onnx and tokenizer.json.

    ItemEncoder(bundle / ENCODER_FILE, bundle / TOKENIZER_FILE, max_tokens=32).encode(["red apple", "…"])
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Encoding, Tokenizer

from recsys.bundle import Bundle
from recsys.bundle_files import ENCODER_FILE, SMALLER_ENCODER_FILES, TOKENIZER_FILE
from recsys.config import Precision
from recsys.errors import BundleError
from recsys.interest import CUDA, Vectors, execution_providers, onnx_session
from recsys.itemtext import ItemText
from recsys.progress import progress
from recsys.state import Positions

TOKENS_A_BATCH_CPU: Final = 512
"""Few enough that what passes between two layers stays in the cache of a core."""
TOKENS_A_BATCH_GPU: Final = 65_536
TEXTS_AT_ONCE: Final = 16_384
"""Texts whose tokens are in memory together, and that are sorted by length together."""


class ItemEncoder:
    """Encodes texts in batches of like length. Several threads may use one."""

    def __init__(
        self, model: Path, tokenizer: Path, *, max_tokens: int, threads: int = 1, packed_in: Path | None = None
    ) -> None:
        """max_tokens  cuts a text
        packed_in   the folder of what processes share of the model; None: nothing

        Raises BundleError for a file that is missing or cannot be read.
        """
        self.file: Final = model
        self._files = (model, tokenizer)
        self.max_tokens = max_tokens
        self.tokenizer: Final = _tokenizer(tokenizer, max_tokens)
        try:
            self._session = onnx_session(model, threads=threads, packed_in=packed_in)
        except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
            raise BundleError(f"{model}: {error}; expected an item encoder, publish the bundle again") from error
        (output,) = self._session.get_outputs()
        self.dimension: Final = int(output.shape[1])
        on_gpu = CUDA in self._session.get_providers()
        self._tokens_a_batch = TOKENS_A_BATCH_GPU if on_gpu else TOKENS_A_BATCH_CPU

    @cached_property
    def fingerprint(self) -> str:
        """Encoders with the same one give the same vectors: a hash of both files and of max_tokens."""
        digest = sha256(f"{self.max_tokens}\n".encode())
        for path in self._files:
            with path.open("rb") as file:
                digest.update(file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str], *, show_progress: bool = False) -> Vectors:
        """A unit vector for each text: float32 (n, dimension); zeros for one without any token."""
        distinct = list(dict.fromkeys(texts))
        vectors = np.zeros((len(distinct), self.dimension), dtype=np.float32)
        for rows, found in self.batches(distinct, show_progress=show_progress):
            vectors[rows] = found
        if len(distinct) == len(texts):
            return vectors
        place = {text: at for at, text in enumerate(distinct)}
        return vectors[[place[text] for text in texts]]

    def batches(self, texts: Sequence[str], *, show_progress: bool = False) -> Iterator[tuple[Positions, Vectors]]:
        """Every text once, in batches as they are done: positions int64 (b,) in `texts`, vectors (b, dimension)."""
        with progress("encoding", len(texts)) if show_progress else nullcontext(_silently) as advance:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                for rows, vectors in self._by_length(texts[start : start + TEXTS_AT_ONCE]):
                    yield start + rows, vectors
                    advance(len(rows))

    def _by_length(self, texts: Sequence[str]) -> Iterator[tuple[Positions, Vectors]]:
        encodings = self.tokenizer.encode_batch_fast([_readable(text) for text in texts])
        lengths = np.array([len(encoding) for encoding in encodings])
        order = np.argsort(lengths, kind="stable")
        empty, order = order[lengths[order] == 0], order[lengths[order] > 0]
        if len(empty):
            # Nothing to run the model on: a text that is like no other.
            yield empty, np.zeros((len(empty), self.dimension), dtype=np.float32)
        for rows in _cut(order, lengths, self._tokens_a_batch):
            yield rows, self._run([encodings[row] for row in rows], lengths[rows])

    def _run(self, encodings: Sequence[Encoding], lengths: Positions) -> Vectors:
        # The graph of an exported encoder was traced with at least two tokens.
        mask = np.arange(max(int(lengths.max()), 2)) < lengths[:, None]
        ids = np.zeros(mask.shape, dtype=np.int64)
        ids[mask] = np.concatenate([encoding.ids for encoding in encodings])
        (found,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask.astype(np.int64)})
        vectors = np.asarray(found, dtype=np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors


def bundle_encoder(
    bundle: Bundle, precision: Precision = "auto", *, threads: int = 1, packed_in: Path | None = None
) -> ItemEncoder:
    """The encoder of a bundle, in this precision; a text's vector differs between them by what they may lose.

    auto is fp16 on a GPU and int8 on a CPU if the bundle has them, else fp32. Raises BundleError when the bundle has
    no encoder in the precision asked for. `packed_in`: as ItemEncoder has it.
    """
    folder = bundle.path
    name = ENCODER_FILE
    if precision == "auto":
        smaller = SMALLER_ENCODER_FILES["fp16" if CUDA in execution_providers() else "int8"]
        name = smaller if (folder / smaller).exists() else name
    elif precision != "fp32":
        name = SMALLER_ENCODER_FILES[precision]
        if not (folder / name).exists():
            raise BundleError(
                f"{folder / name}: the bundle has no encoder in {precision}: it did not rank as well; "
                'set text.precision = "auto"'
            )
    max_tokens = bundle.manifest.text["max_tokens"]
    tokenizer = folder / TOKENIZER_FILE
    return ItemEncoder(folder / name, tokenizer, max_tokens=max_tokens, threads=threads, packed_in=packed_in)


def bundle_text(bundle: Bundle, encoder: ItemEncoder) -> ItemText:
    """What that encoder reads of an item. Raises BundleError for a bundle of a version that knew no templates."""
    text = bundle.manifest.text
    if "template" not in text:
        raise BundleError(f"{bundle.path}: its manifest names no text template; train again with this version")
    return ItemText(text["template"], text["column_tokens"], encoder.tokenizer)


def _tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise BundleError(f"{path}: {error}; expected a tokenizer.json, publish the bundle again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _silently(steps: int = 1, *, note: str = "") -> None:
    """Progress that nobody watches."""


def _readable(text: str) -> str:
    """The text; half of a surrogate pair, which is no character, becomes a question mark."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _cut(order: Positions, lengths: Positions, budget: int) -> Iterator[Positions]:
    """`order`, the shortest first, in batches whose padded size is at most `budget` tokens, or a single text."""
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop + 1 - start) * lengths[order[stop]] > budget:
            yield order[start:stop]
            start = stop
