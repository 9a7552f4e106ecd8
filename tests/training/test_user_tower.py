import numpy as np
import pytest
import torch
from torch import nn

from training.user_tower import TEMPERATURE, LateInteraction


def signals(history: list[list[float]], last: list[float], candidate: list[float]) -> list[float]:
    """The three signals as cosines, worked back from [0, 1]."""
    found = LateInteraction()(torch.tensor(history), torch.tensor(last), torch.tensor([candidate]))
    return (found[0] * 2 - 1).tolist()


def test_interest_is_the_soft_maximum_over_the_history_nearest_the_hard_one_and_recent_that_of_the_last_occasion():
    interest, nearest, recent = signals([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [0.0, 1.0, 1.0], [1.0, 0.0])
    mean_of_exp = (np.exp(TEMPERATURE) + np.exp(0) + np.exp(-TEMPERATURE)) / 3
    assert interest == pytest.approx(np.log(mean_of_exp) / TEMPERATURE, abs=1e-6)
    assert nearest == pytest.approx(1)
    assert recent == pytest.approx(np.log((np.exp(0) + np.exp(-TEMPERATURE)) / 2) / TEMPERATURE, abs=1e-6)


def test_with_one_item_in_the_history_all_three_are_its_cosine():
    assert signals([[0.6, 0.8]], [1.0], [1.0, 0.0]) == pytest.approx([0.6, 0.6, 0.6], abs=1e-6)


def test_every_signal_lies_between_zero_and_one_and_interest_does_not_grow_with_the_length_of_the_history():
    generator = torch.Generator().manual_seed(0)
    history = nn.functional.normalize(torch.randn(40, 8, generator=generator), dim=1)
    candidates = nn.functional.normalize(torch.randn(100, 8, generator=generator), dim=1)
    once = LateInteraction()(history, torch.ones(40), candidates)
    assert ((once >= 0) & (once <= 1)).all()
    twice = LateInteraction()(history.repeat(2, 1), torch.ones(80), candidates)
    torch.testing.assert_close(once, twice)
