import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from recsys.errors import DataError
from training import pretrained
from training.pretrained import DOWNLOADED, INDEX_FILE, encoder_files, encoder_folder


@pytest.fixture
def fake_package(tmp_path, monkeypatch) -> Path:
    """An installed package that holds some bytes as its weights, and whose hash is the expected one."""
    weights = tmp_path / "fake_encoder" / "model" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    (tmp_path / "fake_encoder" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pretrained, "PACKAGED_ENCODER", "fake_encoder")
    monkeypatch.setattr(pretrained, "PACKAGED_SHA256", sha256(b"weights").hexdigest())
    return weights


def test_the_packaged_encoder_is_the_published_one():
    assert (encoder_folder(None, Path()) / "tokenizer.json").exists()


def test_packaged_weights_with_the_expected_hash_are_taken(fake_package):
    assert encoder_folder(None, Path()) == fake_package.parent


def test_packaged_weights_with_one_changed_byte_are_refused(fake_package):
    fake_package.write_bytes(b"weightz")
    expected = sha256(b"weights").hexdigest()
    with pytest.raises(
        DataError, match=rf"model.safetensors: SHA-256 is {sha256(b'weightz').hexdigest()}, expected {expected}"
    ):
        encoder_folder(None, Path())


def test_packaged_weights_that_are_gone_are_named(fake_package):
    fake_package.unlink()
    with pytest.raises(DataError, match=r"model\.safetensors is missing"):
        encoder_folder(None, Path())


def test_without_the_package_the_error_names_both_ways_out(monkeypatch):
    monkeypatch.setattr(pretrained, "PACKAGED_ENCODER", "no_such_package")
    with pytest.raises(DataError, match=r"no_such_package is not installed; install recsys\[train\] or set text"):
        encoder_folder(None, Path())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_configured_encoder_without_one_of_its_files_is_refused_by_the_name_of_the_file(tmp_path, tiny_encoder, name):
    copy = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (copy / name).unlink()
    with pytest.raises(DataError, match=rf"encoder/{name} is missing; expected a Hugging Face encoder"):
        encoder_folder("encoder", tmp_path)


def test_a_missing_tokenizer_can_be_written(tmp_path, tiny_encoder):
    (shutil.copytree(tiny_encoder, tmp_path / "encoder") / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"save_pretrained of transformers\.AutoTokenizer writes it"):
        encoder_folder("encoder", tmp_path)


def test_a_configured_encoder_is_looked_for_beside_recsys_toml(tmp_path, tiny_encoder):
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    assert encoder_folder("encoder", tmp_path) == tmp_path / "encoder"


def test_weights_that_were_cut_short_are_named_with_their_size(tmp_path, tiny_encoder):
    weights = shutil.copytree(tiny_encoder, tmp_path / "encoder") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    size = weights.stat().st_size
    with pytest.raises(DataError, match=rf"encoder/model\.safetensors: .*; found {size} bytes, expected a whole"):
        encoder_folder("encoder", tmp_path)


def test_weights_that_are_something_else_are_refused(tmp_path, tiny_encoder):
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"model\.safetensors: .*; found 43 bytes, expected a whole safetensors file"):
        encoder_folder("encoder", tmp_path)


@pytest.fixture
def sharded(tmp_path, tiny_encoder) -> Path:
    """The encoder with its weights in two files."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "sharded")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{1 + at % 2}.safetensors" for at, name in enumerate(weights)}
    for shard in ("model-1.safetensors", "model-2.safetensors"):
        save_file({name: weights[name] for name in weights if weight_map[name] == shard}, folder / shard)
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def test_weights_in_several_files_are_taken_when_all_are_there(sharded):
    assert encoder_folder("sharded", sharded.parent) == sharded
    names = [path.name for path in encoder_files(sharded)]
    assert names == ["config.json", "tokenizer.json", INDEX_FILE, "model-1.safetensors", "model-2.safetensors"]


def test_a_missing_or_incomplete_one_of_several_files_is_named(sharded):
    second = sharded / "model-2.safetensors"
    lacking = dict(load_file(second))
    name = sorted(lacking)[0]
    del lacking[name]
    save_file(lacking, second)
    with pytest.raises(DataError, match=rf"model-2\.safetensors: lacks \['{name}'\] of model\.safetensors\.index"):
        encoder_files(sharded)
    second.unlink()
    with pytest.raises(DataError, match=r"model-2\.safetensors is missing"):
        encoder_files(sharded)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_an_index_that_maps_nothing_is_refused(sharded, content):
    (sharded / INDEX_FILE).write_text(content)
    with pytest.raises(DataError, match=r"index\.json: .*; expected a weight_map from tensors to files"):
        encoder_files(sharded)


@pytest.mark.parametrize("path", ["./encoder", "/no/encoder", "../encoder", "models/text/encoder"])
def test_a_path_without_a_folder_is_not_looked_for_on_the_hub(tmp_path, monkeypatch, path):
    monkeypatch.setattr(pretrained, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(DataError, match=r"there is no folder .*encoder; expected one, or a name on the hub"):
        encoder_folder(path, tmp_path)


def test_a_name_that_is_no_folder_is_downloaded_from_the_hub_without_pickles_and_code(
    tmp_path, tiny_encoder, monkeypatch
):
    asked = []

    def download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tiny_encoder)

    monkeypatch.setattr(pretrained, "snapshot_download", download)
    assert encoder_folder("answerdotai/ModernBERT-base", tmp_path) == tiny_encoder
    assert asked == [("answerdotai/ModernBERT-base", list(DOWNLOADED))]
    assert not any(pattern.endswith((".bin", ".py", ".pkl", "*")) for pattern in DOWNLOADED)


def test_what_the_hub_cached_earlier_is_used_offline_and_the_rest_is_refused_by_name(
    tmp_path, tiny_encoder, monkeypatch
):
    cache = tmp_path / "hub"
    snapshot = cache / "models--someone--tiny" / "snapshots" / "abc123"
    shutil.copytree(tiny_encoder, snapshot)
    (cache / "models--someone--tiny" / "refs").mkdir()
    (cache / "models--someone--tiny" / "refs" / "main").write_text("abc123")
    download = pretrained.snapshot_download
    monkeypatch.setattr(
        pretrained,
        "snapshot_download",
        lambda name, **how: download(name, cache_dir=cache, local_files_only=True, **how),
    )
    assert encoder_folder("someone/tiny", tmp_path) == snapshot
    with pytest.raises(DataError, match=r"'someone/other': there is no folder .*someone/other, and the hub gave Local"):
        encoder_folder("someone/other", tmp_path)
    with pytest.raises(DataError, match=r"'some one': there is no folder .*, and the hub gave HFValidationError"):
        encoder_folder("some one", tmp_path)
