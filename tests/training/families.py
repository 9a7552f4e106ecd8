"""Small random encoders of each family, to be read by the tokenizer of the packaged model."""

from pathlib import Path

import torch
import transformers

from training.pretrained import encoder_folder

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 8,
    "pos_att_type": "p2c|c2p",
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
# A window of four tokens on either side in two blocks of three: long texts tell whether blocks change places.
MODERNBERT = {"local_attention": 8, "global_attn_every_n_layers": 2}
TOKENS = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)

FAMILIES = {
    "bert": ("Bert", SMALL),
    "roberta": ("Roberta", SMALL | {"pad_token_id": 1, "max_position_embeddings": 514}),
    "xlm-roberta": ("XLMRoberta", SMALL | {"pad_token_id": 1, "max_position_embeddings": 514}),
    "deberta-v2": ("DebertaV2", SMALL | DEBERTA),
    "modernbert": ("ModernBert", SMALL | MODERNBERT | TOKENS),
    "mpnet": ("MPNet", SMALL),
    "electra": ("Electra", SMALL | {"embedding_size": 16}),
    "distilbert": ("DistilBert", {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}),
}


def write_encoder(folder: Path, family: str, **changes: object) -> Path:
    """The folder, with a random encoder of three narrow blocks in it."""
    name, settings = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**{"vocab_size": 30522} | settings | changes)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config)
    # As they start, weights are so small, and biases so empty, that every block nearly gives back what it is given.
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((encoder_folder(None, folder) / "tokenizer.json").read_bytes())
    return folder
