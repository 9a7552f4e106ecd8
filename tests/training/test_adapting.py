from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recsys.config import Finetune, Text
from recsys.errors import DataError
from tests.training.families import FAMILIES, write_encoder
from training.adapting import ResidualHead
from training.encoder import TextEncoder
from training.prepared import PreparedTexts

TEXTS = ["red mug", "blue mug", "a very long description of a garden chair with many words in it", "lamp", ""]
METHODS = ["head", "last_layers", "lora", "full"]


def encoder(folder: Path, *, pooling: Any = "mean", **tune: Any) -> TextEncoder:
    return TextEncoder(folder, Text(pooling=pooling), Finetune(**{"trained_layers": 1} | tune))


def toy_loss(vectors: Tensor) -> Tensor:
    """Low when both mugs lie together and the other texts apart from them."""
    return vectors[0] @ (vectors[2:].sum(0) - vectors[1])


def learn(own: TextEncoder, prepared: PreparedTexts, *, steps: int = 1) -> None:
    optimiser = torch.optim.AdamW(own.trained_parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        toy_loss(prepared.encode(range(len(TEXTS)))).backward()
        optimiser.step()


@pytest.fixture(scope="module", params=["bert", "deberta-v2", "modernbert"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("method", METHODS)
def test_every_way_starts_at_the_pretrained_vectors_and_lowers_the_loss(folder, method, pooling):
    own = encoder(folder, method=method, pooling=pooling)
    prepared = PreparedTexts(own, TEXTS)
    before = prepared.encode_all()
    torch.testing.assert_close(before, PreparedTexts(encoder(folder, method="full"), TEXTS).encode_all())
    own.train()
    learn(own, prepared, steps=3)
    own.eval()
    assert toy_loss(prepared.encode_all()) < toy_loss(before) - 1e-3


@pytest.mark.parametrize(
    ("method", "learns"),
    [
        ("head", lambda name: name.startswith("tower.head.")),
        ("last_layers", lambda name: "layer.2." in name or "layers.2." in name),
        ("lora", lambda name: "lora_" in name),
        ("full", lambda name: True),
    ],
)
def test_a_step_changes_what_learns_and_nothing_else(folder, method, learns):
    own = encoder(folder, method=method)
    before = {name: weight.detach().clone() for name, weight in own.named_parameters()}
    learn(own, PreparedTexts(own, TEXTS))
    changed = {name for name, weight in own.named_parameters() if not torch.equal(weight, before[name])}
    assert changed
    assert all(learns(name) for name in changed)
    assert set(own.trained_state()) == {name for name in before if learns(name)} >= changed


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_adds_to_every_linear_layer_of_every_block_and_to_no_other(tmp_path, family):
    folder = write_encoder(tmp_path, family)
    plain = encoder(folder, method="full").tower.model
    # ELECTRA has a linear layer below its blocks.
    inside = {
        name
        for name, module in plain.named_modules()
        if isinstance(module, nn.Linear) and ("layer." in name or "layers." in name)
    }
    own = encoder(folder, method="lora", lora_rank=4)
    adapted = {
        name.removeprefix("tower.model.model.").split(".lora_")[0]: weight
        for name, weight in own.named_parameters()
        if "lora_A" in name
    }
    assert set(adapted) == inside
    assert len(inside) >= 3 * 4
    assert {weight.shape[0] for weight in adapted.values()} == {4}


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_merged_for_export_gives_the_vectors_of_what_learned(folder, method, pooling):
    own = encoder(folder, method=method, pooling=pooling, dropout=0.5)
    prepared = PreparedTexts(own, TEXTS)
    start = prepared.encode_all()
    own.train()
    learn(own, prepared, steps=2)
    merged = own.merged()
    assert not any("lora" in name or weight.requires_grad for name, weight in merged.named_parameters())
    assert not any(module.training for module in merged.modules())
    assert own.training
    own.eval()
    learned = prepared.encode_all()
    assert (learned - start).abs().max() > 1e-3
    for tokens, expected in zip(own.tokens(TEXTS), learned, strict=True):
        torch.testing.assert_close(merged(tokens[None], torch.ones_like(tokens[None]))[0], expected)


@pytest.mark.parametrize("method", METHODS)
def test_what_learned_can_be_taken_out_and_put_back(folder, method):
    own = encoder(folder, method=method, pooling="attention")
    prepared = PreparedTexts(own, TEXTS)
    start, state = prepared.encode_all(), own.trained_state()
    learn(own, prepared)
    learned, learned_state = prepared.encode_all(), own.trained_state()
    own.load_trained_state(state)
    torch.testing.assert_close(prepared.encode_all(), start, rtol=0, atol=0)
    other = encoder(folder, method=method, pooling="attention")
    other.load_trained_state(learned_state)
    torch.testing.assert_close(PreparedTexts(other, TEXTS).encode_all(), learned)


def test_what_another_way_learned_is_refused(tiny_encoder):
    own = encoder(tiny_encoder, method="head")
    state = encoder(tiny_encoder, method="lora").trained_state()
    with pytest.raises(DataError, match=r"found 24, expected 2 .* of another encoder or finetune\.method"):
        own.load_trained_state(state)
    with pytest.raises(DataError, match=r"found 2, expected 2 .* such as tower\.head\.addition\.weight"):
        own.load_trained_state(own.trained_state() | {"tower.head.addition.weight": torch.zeros(3, 3)})


def test_lora_starts_with_the_weights_of_its_own_seed_whatever_was_drawn_before(tiny_encoder):
    def start(seed: int, *, drawn_before: int) -> Tensor:
        torch.manual_seed(drawn_before)
        state = encoder(tiny_encoder, method="lora", seed=seed).trained_state()
        return torch.cat([weight.flatten() for weight in state.values()])

    assert torch.equal(start(0, drawn_before=1), start(0, drawn_before=2))
    assert not torch.equal(start(0, drawn_before=1), start(1, drawn_before=1))


def test_the_seed_of_lora_is_nobody_elses(tiny_encoder):
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        encoder(tiny_encoder, method="lora")
        drawn.append(torch.rand(1).item())
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("method", METHODS)
def test_dropout_is_active_in_what_learns_while_it_learns_and_only_then(folder, method):
    own = encoder(folder, method=method, dropout=0.3)
    tokens = own.tokens(TEXTS[:1])[0][None]
    mask = torch.ones_like(tokens)
    prepared = own.prepare(tokens, mask).detach()
    # What is new starts at zero: without a step there is nothing that dropout could change.
    learn(own, PreparedTexts(own, TEXTS))

    def differ() -> tuple[bool, bool]:
        with torch.no_grad():
            below = torch.equal(own.prepare(tokens, mask), prepared)
            return below, torch.equal(own.finish(prepared, mask), own.finish(prepared, mask))

    assert differ() == (True, True)
    assert own.train() is own
    assert differ() == (True, False)
    own.eval()
    assert differ() == (True, True)


@pytest.mark.parametrize("method", METHODS)
def test_without_dropout_training_is_deterministic(folder, method):
    own = encoder(folder, method=method, dropout=0.0).train()
    prepared = PreparedTexts(own, TEXTS)
    learn(own, prepared)
    torch.testing.assert_close(prepared.encode([0, 1]), prepared.encode([0, 1]), rtol=0, atol=0)


def test_the_head_adds_a_linear_layer_to_what_it_is_given():
    head = ResidualHead(2, dropout=0.0)
    vectors = torch.tensor([[0.6, 0.8]])
    assert torch.equal(head(vectors), vectors)
    with torch.no_grad():
        head.addition.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        head.addition.bias.copy_(torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(head(vectors), torch.tensor([[1.4, 2.8]]))
