import pytest
import torch

from training.pooling import Pooling

HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]], [[5.0, 6.0], [torch.nan, 1e30], [7.0, 7.0]]])
MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])


def test_the_mean_is_over_the_tokens_alone_whatever_stands_in_padding():
    assert Pooling("mean", 2)(HIDDEN, MASK).tolist() == [[4.0, 2.0], [5.0, 6.0]]


def test_cls_is_the_first_token():
    assert Pooling("cls", 2)(HIDDEN, MASK).tolist() == [[1.0, 2.0], [5.0, 6.0]]


def test_attention_starts_as_the_mean():
    torch.testing.assert_close(Pooling("attention", 2)(HIDDEN, MASK), Pooling("mean", 2)(HIDDEN, MASK))


def test_attention_weighs_a_token_by_the_softmax_of_what_it_asks_for():
    pooling = Pooling("attention", 2)
    assert pooling.query is not None
    with torch.no_grad():
        # Logits 0, ln 2 and ln 5 of the tokens: weights 1/8, 2/8 and 5/8.
        pooling.query.copy_(torch.tensor([1.0, 0.0]))
        logits = torch.tensor([1.0, 2.0, 5.0]).log()
        hidden = torch.stack([logits, torch.tensor([8.0, 16.0, 24.0])], dim=1)[None]
        found = pooling(hidden, torch.ones(1, 3, dtype=torch.long))
    assert found[0, 1].item() == pytest.approx(1 + 4 + 15)


@pytest.mark.parametrize(("kind", "learns"), [("mean", False), ("cls", False), ("attention", True)])
def test_only_attention_learns(kind, learns):
    pooling = Pooling(kind, 2)
    assert pooling.learns == learns == bool(list(pooling.parameters()))


def test_attention_works_in_the_half_precision_of_a_gpu():
    with torch.autocast("cpu", torch.bfloat16):
        found = Pooling("attention", 2)(HIDDEN, MASK)
    torch.testing.assert_close(found.float(), torch.tensor([[4.0, 2.0], [5.0, 6.0]]), rtol=0.02, atol=0.02)
