import numpy as np
import pytest
import torch
from torch import nn

from training.losses import contrast, drift, listwise

TEMPERATURE = 15.0


def test_contrast_equals_a_literal_loop():
    random = np.random.default_rng(0)
    vectors = nn.functional.normalize(torch.from_numpy(random.normal(size=(5, 3))), dim=1)
    strength = random.random((5, 5)) * (random.random((5, 5)) < 0.6)
    np.fill_diagonal(strength, 0)
    strength[3] = 0
    losses = []
    for row in (0, 1, 2, 4):
        others = [item for item in range(5) if item != row]
        near = {item: TEMPERATURE * float(vectors[row] @ vectors[item]) for item in others}
        log_sum = np.log(sum(np.exp(near[item]) for item in others))
        losses.append(sum(strength[row, item] / strength[row].sum() * (log_sum - near[item]) for item in others))
    found = contrast(vectors, torch.from_numpy(strength), TEMPERATURE)
    assert found.item() == pytest.approx(np.mean(losses))


def test_contrast_is_least_where_what_goes_together_lies_together():
    pairs = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    x, y = [1.0, 0.0], [0.0, 1.0]
    together, apart = torch.tensor([x, x, y, y]), torch.tensor([x, y, x, y])
    assert contrast(together, pairs, TEMPERATURE) < contrast(apart, pairs, TEMPERATURE)


def test_a_batch_in_which_nothing_goes_together_teaches_nothing():
    vectors = nn.functional.normalize(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    vectors.requires_grad_()
    loss = contrast(vectors, torch.zeros(4, 4), TEMPERATURE)
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_listwise_is_the_mean_over_rows_of_the_cross_entropy_with_the_targets_as_shares():
    # The softmax of log 1, log 2, log 5 is 1/8, 2/8, 5/8.
    scores = torch.log(torch.tensor([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0], [7.0, 1.0, 1.0]]))
    targets = torch.tensor([[0.0, 3.0, 1.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    first = -(0.75 * np.log(2 / 8) + 0.25 * np.log(5 / 8))
    second = -np.log(2 / 4)
    assert listwise(scores, targets).item() == pytest.approx((first + second) / 2)


def test_a_candidate_that_is_padding_takes_no_part():
    scores = torch.log(torch.tensor([[1.0, 3.0, 100.0]])).requires_grad_()
    loss = listwise(scores + torch.tensor([0.0, 0.0, -torch.inf]), torch.tensor([[0.0, 1.0, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(3 / 4))
    assert scores.grad is not None
    assert scores.grad.tolist() == [pytest.approx([0.25, -0.25, 0])]


def test_rows_without_any_target_are_no_loss_and_no_gradient():
    scores = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = listwise(scores, torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_drift_is_the_mean_of_one_minus_cosine():
    pretrained = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert drift(pretrained, pretrained).item() == 0
    assert drift(torch.tensor([[0.0, 1.0], [0.6, 0.8]]), pretrained).item() == pytest.approx((1 + 0.4) / 2)
