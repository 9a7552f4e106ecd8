"""What several tests share."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import recsys
from tests.shop import UNKNOWN_TYPE, Shop, write_shop


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of two narrow layers and the tokenizer of the packaged model: quick, and untaught."""
    import torch
    from transformers import BertConfig, BertModel

    from training.pretrained import encoder_folder

    folder = tmp_path_factory.mktemp("encoder")
    packaged = encoder_folder(None, folder)
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=30522),
        add_pooling_layer=False,
    )
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((packaged / "tokenizer.json").read_bytes())
    return folder


@dataclass(frozen=True)
class Project:
    """A made-up shop after `init`, `import` and `train`: its recsys.toml, what was bad, and what each command said."""

    config: Path
    shop: Shop
    said: dict[str, str]


@pytest.fixture(scope="session", params=["csv", "jsonl"])
def trained_shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path
) -> Project:
    """The shop's files in CSV and in JSONL with bad rows among them, taken through the commands of the README."""
    folder = tmp_path_factory.mktemp(request.param)
    shop = write_shop(folder, format=request.param, bad_rows=True)
    project = folder / "shop"
    config = project / "recsys.toml"
    said = {"init": recsys("init", project, "--items", shop.items, "--interactions", shop.interactions).stdout}
    # The packaged encoder is good and slow; what it reads is tested elsewhere. One type is a fault of the logs.
    lines = [line for line in config.read_text().splitlines() if not line.startswith(UNKNOWN_TYPE)]
    config.write_text("\n".join(lines).replace("[text]\n", f'[text]\nencoder = "{tiny_encoder}"\n'))
    for command in ("import", "train"):
        done = recsys(command, "--config", config)
        said[command] = done.stdout + done.stderr
    return Project(config, shop, said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield folder
    finally:
        # Lazily: an engine of the test may still have files open.
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def fill(small_disk: Path) -> Callable[[], Path]:
    """Leaves no room on the small disk; who removes the file that is returned makes room again."""

    def fill() -> Path:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        return filler

    return fill
