"""The files of a bundle: training writes them, serving reads them."""

from typing import Final

ENCODER_FILE: Final = "item_encoder.onnx"
SCORER_FILE: Final = "scorer.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
VECTORS_FILE: Final = "item_vectors.npy"
CATALOGUE_FILE: Final = "catalogue.parquet"
RANKER_FILE: Final = "ranker.txt"

TEXT_FILES: Final = (ENCODER_FILE, SCORER_FILE, TOKENIZER_FILE, VECTORS_FILE)
