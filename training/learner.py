"""The text model while it learns: the encoder, the user tower, the optimiser and the step.

Each step takes a batch of distinct items, encodes each once, and contrasts them all with one another. An anchor holds
the vectors near the pretrained ones: what the encoder could read before, it can read after. What users did next teaches
the user tower, against the vectors of all items as they were encoded last; Wang et al., "Cross-batch memory for
embedding learning", 2020.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys.config import Finetune
from recsys.errors import DataError
from recsys.state import Positions
from training.checkpoint import named, part
from training.encoder import TextEncoder
from training.examples import ChosenTogether
from training.lessons import Lesson
from training.losses import contrast, drift, listwise
from training.next_choices import Choices
from training.prepared import PreparedTexts
from training.user_tower import History, UserTower

TOWER_LEARNING_RATE = 0.03
"""Of the user tower, whose weights are of the order of 1."""

MAX_GRADIENT_NORM = 1.0
IDS_IN_MESSAGE = 20


class Learner:
    """Learns step by step; whatever it is, it can say in tensors and plain values, and take up again."""

    def __init__(
        self, encoder: TextEncoder, tower: UserTower, texts: Sequence[str], item_ids: Sequence[str], config: Finetune
    ) -> None:
        """Runs on CUDA when there is one.

        texts     of the items in the order of the catalogue; behind them may stand others, see `read`
        item_ids  in the order of the catalogue
        """
        self.encoder, self.tower, self.config = encoder, tower, config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._item_ids = item_ids
        tower.to(self.device)
        self.prepared = PreparedTexts(encoder, texts, self.device)
        self.untaught = self.prepared.encode_all()
        """Every text as the encoder read it before it learned: (n_texts, d) on the device."""
        self.read(np.arange(len(item_ids)))
        self._memory = self.pretrained
        self._random = np.random.default_rng(config.seed)
        torch.manual_seed(config.seed)
        self._optimiser = torch.optim.AdamW(
            [
                {
                    "params": encoder.trained_parameters(),
                    "weight_decay": config.weight_decay,
                    "base": config.learning_rate,
                },
                {"params": list(tower.parameters()), "weight_decay": 0.0, "base": TOWER_LEARNING_RATE},
            ],
            fused=self.device.type == "cuda",
        )

    def read(self, rows: Positions) -> None:
        """From here on the text of each item is that of this row: int64 (n_items,)."""
        self._rows = torch.from_numpy(rows)

    @property
    def pretrained(self) -> Tensor:
        """The catalogue as the encoder read it before it learned: (n_items, d) on the device."""
        return self.untaught[self._rows.to(self.device)]

    def step(self, lesson: Lesson, share: float) -> float:
        """One step with this share of the learning rate; returns the loss.

        Raises DataError with the items of the batch when the loss is no number.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = share * group["base"]
        self._optimiser.zero_grad()
        self.encoder.train()
        batches = self.config.accumulated_batches
        total = 0.0
        for _ in range(batches):
            loss, items = self._loss(lesson)
            if not torch.isfinite(loss):
                ids = [self._item_ids[item] for item in items.tolist()]
                more = f" and {len(ids) - IDS_IN_MESSAGE} more" if len(ids) > IDS_IN_MESSAGE else ""
                raise DataError(
                    f"the loss became {loss.item()} on the items {ids[:IDS_IN_MESSAGE]}{more}; look at their texts, or "
                    "set finetune.learning_rate lower"
                )
            (loss / batches).backward()  # type: ignore[no-untyped-call]
            total += loss.item() / batches
        self.encoder.eval()
        for group in self._optimiser.param_groups:
            # Apart: an encoder of millions of weights would drown the tower's few.
            nn.utils.clip_grad_norm_(group["params"], MAX_GRADIENT_NORM)
        self._optimiser.step()
        return total

    def vectors(self) -> Tensor:
        """The catalogue as the encoder reads it now: (n_items, d) on the device; remembered from here on."""
        found = self.prepared.encode_all(self._rows)
        # Apart: the next steps write into what is remembered.
        self._memory = found.clone()
        return found

    def encode_queries(self, queries: Sequence[str]) -> Tensor:
        """Unit vectors (n, d) of texts that users typed, on the device, with gradients where there are any."""
        return PreparedTexts(self.encoder, queries, self.device).encode(torch.arange(len(queries)))

    def weights(self) -> dict[str, Tensor]:
        """A copy of everything that learns, on the CPU."""
        tower = {name: weight.detach().to("cpu", copy=True) for name, weight in self.tower.state_dict().items()}
        return named("encoder", self.encoder.trained_state()) | named("tower", tower)

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.encoder.load_trained_state(part(weights, "encoder"))
        self.tower.load_state_dict(part(weights, "tower"))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the next steps depend on."""
        moments = self._optimiser.state_dict()["state"]
        tensors = named("weights", self.weights()) | {
            "memory": self._memory.cpu(),
            "torch_random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            # Dropout draws there.
            tensors["cuda_random"] = torch.cuda.get_rng_state(self.device)
        for at, values in moments.items():
            tensors |= named(f"optimiser.{at}", {name: value.cpu() for name, value in values.items()})
        return tensors, {"random": self._random.bit_generator.state}

    def load_state(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.load_weights(part(tensors, "weights"))
        self._memory = tensors["memory"].to(self.device)
        torch.set_rng_state(tensors["torch_random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["cuda_random"], self.device)
        self._random.bit_generator.state = state["random"]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part(tensors, "optimiser").items():
            at, kind = name.split(".", 1)
            moments.setdefault(int(at), {})[kind] = value
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})

    def _loss(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The loss of one batch, and the items that were encoded for it."""
        batch = self._batch(lesson.together)
        after = lesson.next.draw(self._random) if lesson.next else None
        shown = lesson.shown.draw(self._random) if lesson.shown else None
        fresh = [torch.from_numpy(batch)]
        if shown is not None:
            fresh.append(shown.candidates.flatten())
        if after is not None and (lesson.together is None or any(after.queries)):
            # Of those who asked for something the text of what they chose is to learn as well; and something must.
            fresh.append(after.candidates[after.targets.sum((0, 1)) > 0])
        items = torch.unique(torch.cat(fresh))
        texts = self._rows[items]
        vectors = self.prepared.encode(texts)
        loss = self.config.anchor * drift(vectors, self.untaught[texts.to(self.device)])
        if lesson.together is not None:
            strength = torch.from_numpy(lesson.together.strength[batch][:, batch].toarray()).to(self.device)
            rows = torch.searchsorted(items, torch.from_numpy(batch)).to(self.device)
            loss = loss + contrast(vectors[rows], strength, self.tower.temperature)
        for choices, teaches in ((after, self.config.next_choices), (shown, self.config.shown_choices)):
            if choices is not None:
                loss = loss + self._choice_loss(choices, items, vectors, 1.0 if any(choices.queries) else teaches)
        self._memory[items.to(self.device)] = vectors.detach()
        return loss, items

    def _batch(self, together: ChosenTogether | None) -> np.ndarray:
        if together is None:
            return np.empty(0, dtype=np.int64)
        size = min(self.config.batch_items, len(together.items))
        return np.sort(self._random.choice(together.items, size, replace=False))

    def _choice_loss(self, choices: Choices, fresh: Tensor, vectors: Tensor, teaches: float) -> Tensor:
        """What was chosen against what was not; `teaches`: how much of it reaches the encoder, the tower has it all."""
        vectors = teaches * vectors + (1 - teaches) * vectors.detach()

        def rows(items: Tensor) -> Tensor:
            place = torch.searchsorted(fresh, items).clamp_max(len(fresh) - 1)
            is_fresh = (fresh[place] == items).to(self.device)
            remembered, place = self._memory[items.to(self.device)], place.to(self.device)
            return torch.where(is_fresh.unsqueeze(-1), vectors[place], remembered)

        pasts = choices.pasts.to(self.device)
        history = History(rows(choices.pasts.items), pasts.age_days, pasts.occasions, pasts.kind, pasts.present)
        asked = torch.tensor([query is not None for query in choices.queries], dtype=torch.float32, device=self.device)
        queries = torch.zeros(len(choices.queries), self.encoder.dimension, device=self.device)
        if asked.any():
            texts = [query for query in choices.queries if query is not None]
            queries = queries.index_put((asked.nonzero()[:, 0],), self.encode_queries(texts))
        scores = self.tower.blended(history, rows(choices.candidates), queries, asked)
        logits = self.tower.temperature * scores + choices.offset.to(self.device)
        targets = choices.targets.to(self.device)
        losses = torch.stack([listwise(logits[label], targets[label]) for label in range(len(targets))])
        found: Tensor = (self.tower.label_share * losses).sum()
        return found
