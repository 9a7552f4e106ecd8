"""The files of a bundle: training writes them, serving reads them."""

from typing import Final

ENCODER_FILE: Final = "item_encoder.onnx"
FP16_ENCODER_FILE: Final = "item_encoder.fp16.onnx"
INT8_ENCODER_FILE: Final = "item_encoder.int8.onnx"
SCORER_FILE: Final = "scorer.onnx"
GATHER_FILE: Final = "gather.onnx"
BATCH_SCORER_FILE: Final = "scorer_batch.onnx"
"""The same as SCORER_FILE for several users at once; bundles of earlier versions have none."""
TOKENIZER_FILE: Final = "tokenizer.json"
VECTORS_FILE: Final = "item_vectors.npy"
NEIGHBOURS_FILE: Final = "text_neighbours.npy"
NEIGHBOUR_WEIGHTS_FILE: Final = "text_neighbour_weights.npy"
NEAREST_FILE: Final = "nearest.faiss"
"""The index of the item vectors, in a bundle whose catalogue is large (recsys.retrieval.nearest)."""
CATALOGUE_FILE: Final = "catalogue.parquet"
RANKER_FILE: Final = "ranker.txt"
RANKER_ONNX_FILE: Final = "ranker.onnx"
RANKER_ROWS_FILE: Final = "ranker_rows.npy"
"""The same trees for ONNX Runtime, and features on which both can be compared, float32 (n, n_features)."""
RANKER_NETWORK_FILE: Final = "ranker_network.npz"
"""What scores beside the trees (recsys.rank_network), where that orders better than the trees alone."""
RANKER_FILES: Final = (RANKER_FILE, RANKER_ONNX_FILE, RANKER_ROWS_FILE, RANKER_NETWORK_FILE)
TRAINED_USERS_FILE: Final = "trained_users.npy"
"""Whom the models learned from (recsys.forgetting.lineage)."""
USER_ATTRIBUTES_FILE: Final = "user_attributes.json"
"""How attributes of users become numbers, if recsys.toml named any (recsys.attributes)."""

TEXT_FILES: Final = (
    ENCODER_FILE,
    SCORER_FILE,
    GATHER_FILE,
    TOKENIZER_FILE,
    VECTORS_FILE,
    NEIGHBOURS_FILE,
    NEIGHBOUR_WEIGHTS_FILE,
)
SMALLER_ENCODER_FILES: Final = {"fp16": FP16_ENCODER_FILE, "int8": INT8_ENCODER_FILE}
"""By precision. A bundle has each only if it ranks as well as ENCODER_FILE; its manifest says why one is missing."""
