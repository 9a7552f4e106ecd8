import pytest
import torch
from click.testing import CliRunner

from benchmarks.gpu_text import main, neighbours
from tests.benchmarks.quick import quick


def test_every_part_is_measured_against_its_ceiling(tmp_path):
    details = quick("gpu_text", tmp_path)
    assert set(details["text"]) == {"encode, torch", "encode, ONNX Runtime", "finetune"}
    assert details["score_ms"] > 0
    together = details["together"]
    assert together["times_as_fast"] == pytest.approx(together["one_by_one_ms"] / together["together_ms"])
    assert set(details["retrieve"]) == {"1000", "2000"}
    assert all(part["of_ceiling"] > 0 for part in details["text"].values())
    assert all(part["of_bandwidth"] > 0 for part in details["retrieve"].values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_full_run_says_that_it_needs_a_gpu():
    run = CliRunner().invoke(main, [])
    assert run.exit_code == 1
    assert "torch finds no CUDA device; this benchmark needs a GPU, --quick runs without" in run.output


def test_items_are_chosen_together_in_pairs():
    assert neighbours(4, torch.device("cpu")).tolist() == [1, 0, 3, 2]
