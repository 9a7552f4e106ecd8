from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AlbertConfig, AlbertModel, AutoModel

from recsys.errors import DataError
from tests.training.families import FAMILIES, write_encoder
from training.blocks import Blocks, can_be_cut, find_blocks

IDS = torch.randint(1000, 2000, (2, 30), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(30) < torch.tensor([[30], [9]])).long()


@pytest.fixture(scope="module", params=FAMILIES)
def blocks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    folder = write_encoder(tmp_path_factory.mktemp(request.param), request.param)
    return find_blocks(AutoModel.from_pretrained(folder).eval())


@pytest.mark.parametrize("split", [0, 1, 2])
def test_both_halves_of_a_model_of_any_family_together_compute_what_the_whole_does(blocks, split):
    assert len(blocks) == 3
    with torch.no_grad():
        whole = blocks.model(input_ids=IDS, attention_mask=MASK).last_hidden_state
        halves = blocks.above(split, blocks.below(split, IDS, MASK), MASK)
    torch.testing.assert_close(halves[MASK.bool()], whole[MASK.bool()], rtol=0, atol=1e-5)


def test_a_cut_leaves_the_model_as_it_was(blocks):
    names = [name for name, _ in blocks.model.named_parameters()]
    with torch.no_grad():
        before = blocks.model(input_ids=IDS, attention_mask=MASK).last_hidden_state
        blocks.above(2, blocks.below(2, IDS, MASK), MASK)
        after = blocks.model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert [name for name, _ in blocks.model.named_parameters()] == names


def test_below_runs_none_of_the_blocks_above_and_above_none_of_those_below(blocks):
    ran: list[int] = []
    hooks = [block.register_forward_hook(lambda *_, at=at: ran.append(at)) for at, block in enumerate(blocks.modules)]
    with torch.no_grad():
        hidden = blocks.below(1, IDS, MASK)
        assert ran == [0]
        blocks.above(1, hidden, MASK)
    assert ran == [0, 1, 2]
    for hook in hooks:
        hook.remove()


def test_a_model_that_does_more_after_its_first_block_is_seen_to_be_uncuttable(tmp_path):
    folder = write_encoder(tmp_path, "deberta-v2", conv_kernel_size=3, conv_act="gelu")
    blocks = find_blocks(AutoModel.from_pretrained(folder).eval())
    assert not can_be_cut(blocks, 2, IDS, MASK, tolerance=1e-4)


def test_a_model_that_fails_on_half_its_blocks_is_seen_to_be_uncuttable(tmp_path):
    model = AutoModel.from_pretrained(write_encoder(tmp_path, "bert")).eval()
    blocks = find_blocks(model)
    assert can_be_cut(blocks, 2, IDS, MASK, tolerance=1e-4)

    def count(*_: object) -> None:
        if len(model.encoder.layer) != 3:
            raise IndexError("a list of layer types that is as long as the blocks once were")

    model.register_forward_pre_hook(count)
    assert not can_be_cut(blocks, 2, IDS, MASK, tolerance=1e-4)


def test_a_model_whose_layers_share_their_weights_is_refused_by_name():
    config = AlbertConfig(hidden_size=32, num_attention_heads=2, intermediate_size=64, embedding_size=16, vocab_size=99)
    model: nn.Module = AlbertModel(config)
    with pytest.raises(DataError, match="a AlbertModel without a list of its 12 transformer blocks"):
        find_blocks(model)


def test_the_families_are_written_as_they_are_named(tmp_path: Path):
    assert AutoModel.from_pretrained(write_encoder(tmp_path, "modernbert")).config.model_type == "modernbert"
