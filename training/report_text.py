"""What report.html says of the text model, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from training.user_tower import AGE_UNIT_DAYS

METRICS: Final = {
    "recall": "the share of what a user took that stands among the first {k}",
    "ndcg": "the same for the first {k}, where a find counts more the higher it stands",
    "mrr": "1 divided by the rank of the first find, 0 when there is none among the first {k}",
    "map": "how pure the list is down to each find among the first {k}, over all that the user took",
    "hit_rate": "the share of users for whom at least one of the first {k} was right",
    "coverage": "the share of the catalogue that is among anybody's first {k}",
    "novelty": "how rare the first {k} are, in bits: one more means half as many earlier users",
    "diversity": "how different the first {k} are by their texts, 0 for the same and 1 for nothing in common",
}
TASTES: Final = ("novelty", "diversity")
"""Metrics of which more is not always better."""

LEVEL: Final = 0.05

KINDS: Final = {
    "unseen": "for the first time",
    "held_out": "of items kept from training",
    "asked": "after typing a query",
}
A_MONTH_DAYS: Final = 30


@dataclass(frozen=True)
class TextInWords:
    """choice and why are sentences; validation has (kind, pretrained, fine-tuned); facts are further sentences."""

    choice: str
    why: str
    validation: list[tuple[str, float, float]]
    facts: list[str]


def text_in_words(text: Mapping[str, Any]) -> TextInWords:
    """Of the text section of a report (training.report_schema.TextFigures)."""
    found = text["validation"]
    rows = []
    if found:
        before, after = found["pretrained"], found["finetuned"]
        rows = [(KINDS.get(kind, kind), before[kind], after[kind]) for kind in before if kind in after]
    if not text["uses_pretrained"]:
        choice, why = "The fine-tuned model serves:", "on validation it ranks better than the pretrained one."
    elif found:
        choice = "The pretrained model serves:"
        why = "fine-tuning made nothing better on validation, so what it learned is not used."
    else:
        choice = "The pretrained model serves:"
        why = "there was too little to learn from, or finetune.max_steps is 0."
    counts = text["texts"]
    facts = [
        f"Of {counts['items']:,} items {counts['empty']:,} had no text, and {counts['cut']:,} had a longer one than "
        "text.max_tokens, of which the rest was not read."
    ]
    facts += [_tower(label, figures) for label, figures in text["tower"].items()]
    facts += [_export(precision, figures) for precision, figures in text["encoders"].items()]
    return TextInWords(choice, why, rows, facts)


def metric_in_words(name: str) -> str:
    """What a metric such as "mrr@10" is; nothing for one that is not known."""
    metric, _, k = name.partition("@")
    return METRICS.get(metric, "").format(k=k)


def is_clear(found: Mapping[str, Any]) -> bool:
    """Whether a training.report_schema.Difference can hardly be chance."""
    return bool(found["p"] < LEVEL)


def difference_in_words(found: Mapping[str, Any]) -> str:
    """How sure a difference is: of a training.report_schema.Difference."""
    low, high = found["ci"]
    range_of_it = f"{found['difference']:+.3f} on the same users, 95 % interval {low:+.3f} to {high:+.3f}"
    p = "p < 0.001" if found["p"] < 0.001 else f"p = {found['p']:.3f}"
    return f"{range_of_it} ({p})" + ("" if is_clear(found) else ": it may be chance")


def _tower(label: str, figures: Mapping[str, Any]) -> str:
    """How much an item of the history weighs for a label, each comparison with all else equal."""
    month = (1 + A_MONTH_DAYS / AGE_UNIT_DAYS) ** -figures["age_power"]
    twice = 2 ** figures["occasions_power"]
    types = ", ".join(f"{name} {weight:.2f}" for name, weight in figures["type_weight"].items())
    return (
        f"For {label}, something chosen a month ago weighs {month:.2f} times what was chosen just now, something "
        f"chosen on two occasions {twice:.2f} times what was chosen on one. By type: {types}. A query beside "
        f"a short history has {figures['query_share']:.0%} of the say."
    )


def _export(precision: str, figures: Mapping[str, Any]) -> str:
    size = f", {figures['bytes'] / 1e6:,.1f} MB" if "bytes" in figures else ""
    if "difference" in figures:
        return f"The encoder in {precision} differs from torch by at most {figures['difference']:.1g}{size}."
    if not figures["kept"]:
        return f"The encoder in {precision} was not kept: {figures['reason']}."
    return f"The encoder in {precision} changes ndcg@10 by {figures['ndcg_change']:+.2%}{size}."
