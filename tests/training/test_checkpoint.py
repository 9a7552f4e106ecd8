import subprocess
import sys

import pytest
import torch

from training import checkpoint
from training.checkpoint import load_checkpoint, named, part, save_checkpoint

KILLED = """
import os, sys, pathlib, torch
from training import checkpoint
path = pathlib.Path(sys.argv[1])
checkpoint.save_checkpoint(path, {"a": torch.ones(3)}, {"step": 1})
honest = checkpoint.save_file
def killed(tensors, path, metadata):
    honest(tensors, path, metadata)
    pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:40])
    os.kill(os.getpid(), 9)
checkpoint.save_file = killed
checkpoint.save_checkpoint(path, {"a": torch.zeros(3)}, {"step": 2})
"""


def test_what_was_saved_comes_back_bit_for_bit(tmp_path):
    tensors = {
        "floats": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        "step": torch.tensor(7.0),
        "state": torch.get_rng_state(),
        "empty": torch.empty(0, 5),
        "turned": torch.arange(6).view(2, 3).T,
    }
    state = {"losses": [0.1, 1 / 3], "nothing": None, "big": 2**100, "words": ["é", "b"], "inside": {"a": True}}
    save_checkpoint(tmp_path / "c.safetensors", tensors, state)
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found is not None
    assert found[1] == state
    assert found[0].keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[0][name].dtype == tensor.dtype
        assert torch.equal(found[0][name], tensor)


def test_two_names_for_the_same_weights_are_saved_as_two(tmp_path):
    weight = torch.ones(2)
    save_checkpoint(tmp_path / "c.safetensors", {"one": weight, "other": weight}, {})
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found is not None
    assert {name: tensor.tolist() for name, tensor in found[0].items()} == {"one": [1, 1], "other": [1, 1]}


def test_before_the_first_time_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "c.safetensors") is None


def test_the_latest_takes_the_place_of_the_one_before_and_leaves_nothing_else(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path / "c.safetensors", {"a": torch.tensor(float(step))}, {"step": step})
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found is not None
    assert (found[0]["a"].item(), found[1]) == (2, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_killed_while_writing_it_leaves_the_old_one(tmp_path):
    path = tmp_path / "c.safetensors"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    found = load_checkpoint(path)
    assert found is not None
    assert (found[0]["a"].tolist(), found[1]) == ([1, 1, 1], {"step": 1})
    save_checkpoint(path, {"a": torch.zeros(3)}, {"step": 3})
    assert (load_checkpoint(path) or ({}, {}))[1] == {"step": 3}


def test_a_full_disk_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"a": torch.ones(3)}, {"step": 1})

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "sync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"a": torch.zeros(3)}, {"step": 2})
    assert (load_checkpoint(path) or ({}, {}))[1] == {"step": 1}


def test_a_part_is_what_stands_under_a_name_and_named_is_the_reverse():
    tensors = {name: torch.tensor(at) for at, name in enumerate(["tower.a", "tower.b.c", "tower2.a", "tower"])}
    found = part(tensors, "tower")
    assert {name: int(value) for name, value in found.items()} == {"a": 0, "b.c": 1}
    assert named("tower", found) == {name: tensors[name] for name in ("tower.a", "tower.b.c")}
