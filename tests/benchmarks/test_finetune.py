import pytest

from tests.benchmarks.quick import quick


def test_both_ways_have_the_same_loss_after_the_same_examples(tmp_path):
    details = quick("finetune", tmp_path)
    ours, plain = details["losses"].values()
    assert len(ours) == 2
    assert ours == pytest.approx(plain, abs=1e-3)
    assert ours[0] != ours[1]
    assert details["texts_a_batch"] == 6  # two examples of the next item and two of the history
