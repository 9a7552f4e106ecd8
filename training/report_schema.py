"""What a report holds: every key of report.json."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Interval = tuple[Share, Share]
AtLeastZero = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]

Metrics = dict[str, Any]
"""What recsys.metrics.summarise returns: each mean over users, and its 95 % interval beside it under METRIC_ci."""


class Tasks(TypedDict):
    """One model on each task; None where the model cannot do it (a popularity has nothing to say on cold items)."""

    all: Metrics | None
    new: Metrics | None
    cold: Metrics | None


class Users(TypedDict):
    """How many users each task is measured on."""

    all: Count
    new: Count
    cold: Count


CurvePoint = TypedDict(
    "CurvePoint",
    {
        "step": Count,
        "loss": AtLeastZero | None,
        "validation_ndcg@10": Share | None,
        "held_out_ndcg@10": Share | None,
        "asked_ndcg@10": NotRequired[Share | None],
    },
)
"""Training so far: validation_ndcg@10 on what users chose after the training cut, held_out_ndcg@10 on items kept from
it, asked_ndcg@10 on what they chose after typing a query."""


class Tower(TypedDict):
    """What the user tower learned for one label: see training.user_tower."""

    age_power: float
    occasions_power: float
    type_weight: dict[str, AtLeastZero]
    query_share: Share


class TextCounts(TypedDict):
    """Items; those without a text; those whose text was cut off."""

    items: Count
    empty: Count
    cut: Count


class TextFigures(TypedDict):
    """The text model: which one serves, and why. Of each encoder at least {"kept"} or, in float32, {"difference"}."""

    uses_pretrained: bool
    validation: dict[str, dict[str, Share]]
    texts: TextCounts
    tower: dict[str, Tower]
    encoders: dict[str, dict[str, Any]]


class Channel(TypedDict):
    """recall: share of the relevant items among its candidates; alone: share that no other channel found."""

    recall: Share
    alone: Share


Candidates = TypedDict(
    "Candidates",
    {"candidates": Count, "recall": Share, "recall@300": Share, "channels": dict[str, Channel]},
)
"""What the ranker got to order, `candidates` items at most: recall of the merged channels, and of each among them;
recall@300 is that of the merge when it is asked for 300, whatever the project is configured for."""


class CandidatesOfTasks(TypedDict):
    """None where a task has no users."""

    all: Candidates | None
    new: Candidates | None


class Difference(TypedDict):
    """Of one metric on the same users: two means, ours - theirs, its paired 95 % interval and two-sided p-value."""

    ours: float
    theirs: float
    difference: float
    ci: tuple[float, float]
    p: Share


class Paired(TypedDict):
    """Our model against the best baseline of a task."""

    model: str
    baseline: str
    metrics: dict[str, Difference]


class SliceFigures(TypedDict):
    """A part of the users or items of a task; few: there are too few users to go by the figures."""

    by: Literal["history", "item", "category", "month"]
    name: str
    detail: str
    users: Count
    few: bool
    model: str
    baseline: str
    models: dict[str, Metrics]
    paired: dict[str, Difference]


class ByK(TypedDict):
    """Means at several k: model → task → recall or ndcg → a value for each k; None where it cannot do the task."""

    k: list[Count]
    models: dict[str, dict[str, dict[str, list[Share]] | None]]


class Bin(TypedDict):
    """Candidates between two shares of all in the order of their scores, and how many of them were then chosen."""

    candidates: Count
    scores: tuple[float, float]
    rate: Share
    rate_ci: tuple[float, float]


class Step(TypedDict):
    """A channel in the order of the merge, and the share of the relevant items that no channel before it brought."""

    channel: str
    adds: Share


class ComparedTask(TypedDict):
    """How many users count, how many only one of the reports has, and how many have other things to find by now."""

    model: str
    users: Count
    only_here: Count
    only_there: Count
    changed: Count
    metrics: dict[str, Difference]


class Comparison(TypedDict):
    """This report against an earlier one of another bundle."""

    bundle: str
    dataset: str
    tasks: dict[str, ComparedTask]


class RankerFigures(TypedDict):
    """How many trees it has, and whether a network scores beside them."""

    trees: int
    network: bool


class Report(TypedDict):
    """report.json. Further keys are kept as they are."""

    dataset: str
    test_start: str
    users: Users
    models: Annotated[dict[str, Tasks], Meta(min_length=1)]
    bundle: str
    seconds: dict[str, AtLeastZero]
    peak_memory_mb: AtLeastZero
    curves: NotRequired[dict[str, list[CurvePoint]]]
    ranker: NotRequired[RankerFigures]
    importance: NotRequired[dict[str, AtLeastZero]]
    """Of its trees."""
    channels: NotRequired[dict[str, Channel]]
    """Those of candidates.all."""
    candidates: NotRequired[CandidatesOfTasks]
    text: NotRequired[TextFigures]
    paired: NotRequired[dict[str, Paired]]
    by_k: NotRequired[ByK]
    slices: NotRequired[dict[str, list[SliceFigures]]]
    calibration: NotRequired[list[Bin]]
    waterfall: NotRequired[list[Step]]
    comparison: NotRequired[Comparison]
