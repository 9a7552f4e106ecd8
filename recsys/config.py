"""recsys.toml: one small frozen class a stage, read and validated once.

Units stand in the names. What nobody needs to change is a constant beside its use and is not found here.
"""

import re
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, field

from recsys import online_address
from recsys.attributes import AttributeKind
from recsys.errors import ConfigError
from recsys.online_address import SQLITE
from recsys.rules.expression import condition

Positive = Annotated[int, Meta(gt=0)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
EXACT_UP_TO_ITEMS: Final = 100_000
Format = Literal["files", "online_retail", "mind", "movielens", "amazon_reviews", "metarank"]
WITHOUT_USERS = ("files", "mind", "amazon_reviews")
"""Formats that have no users but those that [source] names."""
Precision = Literal["auto", "fp32", "fp16", "int8"]
BatchRequests = Positive | Literal["auto"]
DEFAULT_SURFACE: Final = "default"
"""That of a request which names none."""
CHAMPION: Final = "champion"
"""What a variant of an experiment names for whichever bundle serves."""
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")
_STORE: Final = re.compile(r"(?!file://[^/])[a-z][a-z0-9+.-]*://\S+")
Cutoffs = tuple[Positive, ...]
SomeCutoffs = Annotated[Cutoffs, Meta(min_length=1)]


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of recsys.toml."""


class Source(Stage, frozen=True, kw_only=True):
    """Where the logs lie. Paths are relative to the folder of recsys.toml; each is a file or a folder."""

    format: Format = "files"
    """files: Parquet, JSON lines or CSV in our columns; the others, as published: online_retail (UCI), mind,
    movielens, amazon_reviews (of 2023), and the events of metarank; docs/sources.md says where they find what."""
    interactions: str | None = None
    """What users did, and when; without it the engine goes by the texts of the items alone."""
    items: str | None = None
    """What the items are; without it they are the ids in interactions."""
    impressions: str | None = None
    """What was shown."""
    users: str | None = None
    """Attributes of users."""
    log: bool = False
    """Whether to read, behind these, what `recsys export` wrote out of the event log: docs/event-log.md."""
    max_bad_share: Share = 0.05
    """More refused rows than this share of any one table end the import with exit code 2."""
    max_ahead_minutes: PositiveFloat = 10.0
    """Events and impressions later than the clock by more than this are refused until their time has come."""
    max_events_per_user_per_day: Positive = 2000
    """Of more events, or impressions, of one user in a day the first so many count: docs/retraining.md."""


class InteractionType(Stage, frozen=True):
    """How much one interaction of this type counts, and whether it is what the engine learns to predict."""

    weight: PositiveFloat = 1.0
    """Against the other types."""
    label: bool = False
    """Whether the ranker learns to predict it, and the evaluation counts it."""


class Text(Stage, frozen=True):
    """What the text model reads of an item, and with which encoder."""

    template: str = "{title}"
    """How the columns of an item make its text, as in "{title}. {category}. {description}"; what stands before a blank
    column is left out with it."""
    max_tokens: Positive = 32
    """What follows is cut off. More is slower."""
    column_tokens: dict[str, Positive] = {}
    """Column = most tokens of it that are read, so that a long description leaves room for what follows."""
    encoder: str | None = None
    """A Hugging Face encoder: its folder (config.json, model.safetensors, tokenizer.json) or its name on the hub; not
    set: the packaged MiniLM."""
    pooling: Literal["mean", "cls", "attention"] = "mean"
    """How the vectors of the tokens become one: their mean, the first one, or a mean with learned weights."""
    precision: Precision = "auto"
    """Which export of the encoder serves; auto: fp16 on a GPU, int8 on a CPU, each only if it ranks as well as fp32."""


class Split(Stage, frozen=True):
    """The cut in time. None: all interactions are learned from, and nothing is held back to measure on."""

    test_start: datetime | None = None
    """Everything from here on is held back to measure on."""
    validation_days: Positive = 14
    """Length of the window on which fine-tuning is stopped early."""


class Finetune(Stage, frozen=True):
    """Fine-tuning of the text model. 0 steps leaves the pretrained model as it is."""

    method: Literal["head", "last_layers", "lora", "full"] = "last_layers"
    """What learns: a residual layer on top, the upper layers of the encoder, low-rank additions to all its layers, or
    all of it. What is below the lowest trained layer runs once an item."""
    trained_layers: Positive = 2
    """With last_layers: how many upper layers of the encoder learn."""
    lora_rank: Positive = 8
    """With lora: the rank of the additions."""
    max_steps: Annotated[int, Meta(ge=0)] = 40
    """Fine-tuning stops earlier when the validation does not get better."""
    batch_items: Positive = 512
    """Distinct items that are contrasted in a step."""
    accumulated_batches: Positive = 1
    """Batches whose gradients make one step, where a larger batch does not fit into memory."""
    learning_rate: PositiveFloat = 4e-4
    """Of AdamW, after a warm-up."""
    warmup_steps: Annotated[int, Meta(ge=0)] = 10
    """Steps in which the learning rate rises to its full height; after them it falls as a cosine."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.01
    """Of AdamW."""
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the values inside the trained layers that are dropped at random while they learn."""
    temperature: PositiveFloat = 12.0
    """How sharp the soft maximum over the history is: higher looks at the nearest item alone, lower at the mean."""
    next_choices: Share = 0.0
    """How much of what users did next the encoder learns from; the user tower always does. More makes it forget."""
    shown_choices: Share = 1.0
    """How much of what users chose out of logged impressions the encoder learns from."""
    repeat_weight: Share = 0.1
    """What an item that the user had before counts among what is chosen next, against a new one."""
    anchor: Annotated[float, Meta(ge=0)] = 0.5
    """How strongly the item vectors are held near the pretrained ones, so that nothing is forgotten."""
    interpolation: Annotated[float, Meta(gt=0, le=1)] = 0.7
    """Where the weights that serve lie between the pretrained ones (0) and the fine-tuned ones (1)."""
    history_items: Positive = 100
    """Latest distinct items of a user that the text model looks at."""
    seed: int = 0
    """The same seed gives the same model."""


class Retrieval(Stage, frozen=True):
    """How many items the ranker gets to order, and which channels bring them: docs/channels.md."""

    candidates: Positive = 400
    """Items of all channels together."""
    exact_up_to_items: Annotated[int, Meta(ge=0)] = EXACT_UP_TO_ITEMS
    """In a catalogue of more items an index finds those that are nearest by interest; up to here all are compared."""
    budgets: dict[str, Annotated[int, Meta(ge=0)]] = {}
    """Channel = most items of it among the candidates; 0 switches it off. A channel that is not named brings up to
    `candidates`, but for trending and popular_in_category, which need a budget."""
    popular_by: tuple[str, ...] = ()
    """Categorical attributes of users under features.user_attributes: for each, as "country", a channel
    popular_by_country brings what is popular with the users of the same value."""


class Ranker(Stage, frozen=True):
    """LightGBM lambdarank on several windows before the cut, and a network beside it."""

    windows: Positive = 10
    """Windows before the cut that the ranker learns from; fewer when the logs are shorter."""
    window_days: Positive = 14
    """Length of a window: what a user does in it is what the ranker learns to put first."""
    trees: Positive = 400
    """At most; the latest window says how many serve best. Each takes its time in every answer."""
    leaves: Positive = 15
    """Leaves of a tree."""
    learning_rate: PositiveFloat = 0.1
    """Share of each tree."""
    rows_in_leaf: Positive | None = None
    """At least so many rows in a leaf; not set: one row in 500, and from 20 to 200."""
    feature_share: Annotated[float, Meta(gt=0, le=1)] = 0.7
    """Share of the features that a tree may look at."""
    l2: Annotated[float, Meta(ge=0)] = 20.0
    """How strongly leaves of few rows are held near 0."""
    truncation: Positive = 30
    """So many places at the top of a list are what is learned to get right."""
    learn_from: Literal["auto", "retrieved", "impressions", "both"] = "auto"
    """The lists to learn from: candidates as they are retrieved, what logged impressions showed, or both; auto:
    impressions where a thousand or more were answered, both where fewer were, retrieved where there are none."""
    debias_positions: bool = True
    """Whether what was chosen out of an impression counts as if all places of a list were looked at alike. Without it,
    what stood at the top passes for good."""
    network: bool = True
    """Whether a small neural network may score beside the trees: it does where the latest window is ordered better so,
    a thousand lists or more are there to learn from, none of them was shown, and monotone is empty."""
    monotone: dict[str, Literal["increasing", "decreasing"]] = {}
    """Features, by their names in docs/features.md, that may move the score in one direction only, as in
    { item_price = "decreasing" }."""
    seed: int = 0
    """The same seed gives the same model."""


class Evaluation(Stage, frozen=True):
    """What `recsys evaluate` reports: each metric at one or several k, the number of items that it looks at from the
    top of a list. An empty list leaves a metric out."""

    recall_at: SomeCutoffs = (10, 20, 100)
    """Of what a user chose, the share that stands in the top k."""
    ndcg_at: SomeCutoffs = (10,)
    """The same, where a find counts more the higher it stands. The smallest k is what models are compared by."""
    mrr_at: Cutoffs = (10,)
    """1 / rank of the first find."""
    map_at: Cutoffs = (10,)
    """Mean over the finds of the share of finds down to each."""
    hit_rate_at: Cutoffs = (10,)
    """Share of the users for whom anything is found."""
    coverage_at: Cutoffs = (10,)
    """Share of the catalogue that is recommended to anybody."""
    novelty_at: Cutoffs = (10,)
    """How rare the recommended items are, in bits: 1 more for half as many users."""
    diversity_at: tuple[Annotated[int, Meta(ge=2)], ...] = (10,)
    """How different the items of a list are by their texts: 0 for the same text, 1 for nothing in common."""

    @property
    def deepest(self) -> int:
        """The longest list that any metric looks at."""
        finds = (*self.recall_at, *self.ndcg_at, *self.mrr_at, *self.map_at, *self.hit_rate_at)
        return max(*finds, *self.coverage_at, *self.novelty_at, *self.diversity_at)


class Features(Stage, frozen=True):
    """The feature store."""

    online_store: str = SQLITE
    """Where the server reads what is known of items and users: sqlite, a file of the project; or, with the extra
    recsys[redis], a Redis at redis://host:port/db, rediss:// for TLS, unix:///path for a socket. ${NAME} stands for an
    environment variable: keep a password in one."""
    item_attributes: dict[str, AttributeKind] = field(
        default_factory=lambda: {"price": "numeric", "published_at": "timestamp"}
    )
    """Columns of the items table that become features: "numeric", "categorical" or "timestamp", whose age counts."""
    user_attributes: dict[str, AttributeKind] = {}
    """The same of the users table, as in { age = "numeric", country = "categorical", member_since = "timestamp" }."""
    refresh_seconds: PositiveFloat = 30.0
    """How often a server looks whether the store was filled anew, and loads it; a promotion it sees at once."""

    def __repr__(self) -> str:
        """Without the address, which may hold a password."""
        return f"Features(online_store={self.online_store.partition(':')[0]!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("online_store", self.online_store.partition(":")[0])]


class Serving(Stage, frozen=True):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on; loopback answers this machine alone."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """0 takes a free one."""
    workers: Positive = 1
    """Processes that answer on it, one a core; each has its own engine in memory. See docs/workers.md."""
    max_candidates: Positive = 2000
    """Most candidates of a rank request, and most items of an answer."""
    deadline_ms: Annotated[float, Meta(gt=0, le=10_000)] = 50.0
    """Milliseconds that an answer may take unless its request says otherwise; what is not ready by then is left out of
    it."""
    batch_requests: BatchRequests = "auto"
    """Most requests of `/v1/rank` whose interest by text is computed together; auto: 32 on a GPU, and on a CPU 1, each
    by itself. See docs/workers.md."""
    batch_wait_ms: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """Milliseconds that a request waits for others, but never more than a tenth of what it has left."""
    logged_features_share: Share = 0.01
    """Share of the requests whose features are logged, for `recsys audit parity`."""
    log_format: Literal["text", "json"] = "text"
    """How the server's log is written on standard error: lines for people, or JSON lines. Nothing in it is about a
    person. With several projects in one server, this and the next two are those of the first."""
    log_requests: bool = False
    """Whether each request gets a line: route, status, time, request_id, what was left out."""
    traces: bool = False
    """Whether spans go to an OpenTelemetry collector, with the extra recsys[otel]: docs/operations.md."""


class Log(Stage, frozen=True):
    """The event log, where a server keeps what users do and see: docs/event-log.md."""

    store: str = SQLITE
    """sqlite, a file of the project; or, with the extra recsys[redis], a stream of a Redis that servers on several
    machines share, at an address as that of features.online_store. It must have appendonly = yes."""
    folder: str = "log"
    """Where `recsys export` writes, relative to the folder of recsys.toml."""
    retention_days: PositiveFloat | None = 90.0
    """`recsys export` deletes from the event log what it has exported and is older."""

    def __repr__(self) -> str:
        """Without the address, which may hold a password."""
        store = self.store.partition(":")[0]
        return f"Log(store={store!r}, folder={self.folder!r}, retention_days={self.retention_days!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [
            ("store", self.store.partition(":")[0]),
            ("folder", self.folder),
            ("retention_days", self.retention_days),
        ]


class Security(Stage, frozen=True):
    """Who may ask a server from where, and how much a key may ask unless it has limits of its own. See
    docs/security.md."""

    cors_origins: list[str] = []
    """Origins of web pages that may ask from a browser, as in ["https://shop.example"]; none unless named. With several
    projects in one server, those of the first count."""
    max_body_bytes: Positive = 10_000_000
    """Of one request."""
    requests_per_second: PositiveFloat = 1000.0
    """Of one key, in each process of the server."""
    burst: Positive = 2000
    """Most requests of a key at once, after it has been quiet."""

    def __post_init__(self) -> None:
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"cors_origins has {origin!r}; expected scheme://host or scheme://host:port, without a path or *"
                )


class ExcludeBought(Stage, frozen=True, kw_only=True):
    """What a user bought is not shown to that user."""

    types: Annotated[list[str], Meta(min_length=1)]
    """The interaction types that count as buying, as in ["purchase"]."""
    within_days: PositiveFloat | None = None
    """So many days before the request; not set: ever."""


class Boost(Stage, frozen=True, kw_only=True):
    """Some items count for more, or for less: relevance × factor + add. The relevance of the best candidate of a
    request is 1, that of the last one 0; several boosts of an item follow each other in the order of the file."""

    where: str
    """Of which items, a condition over their columns."""
    factor: PositiveFloat = 1.0
    """What the relevance is multiplied with."""
    add: float = 0.0
    """What is added to it."""

    def __post_init__(self) -> None:
        condition(self.where)
        if (self.factor, self.add) == (1.0, 0.0):
            raise ValueError(f"the boost of {self.where!r} changes nothing; name its factor, or what it is to add")


class Pin(Stage, frozen=True, kw_only=True):
    """An item at a fixed position."""

    item: str
    """Its item_id."""
    position: Positive
    """1 is the first; the next free one when another item is pinned there."""
    starts: datetime | None = None
    """From when on, by the clock of the server; without a zone it is UTC."""
    ends: datetime | None = None
    """Until when."""

    def __post_init__(self) -> None:
        starts, ends = self.span
        if starts >= ends:
            raise ValueError(f"the pin of {self.item!r} ends at {self.ends}, not after it starts at {self.starts}")

    @property
    def span(self) -> tuple[float, float]:
        """Seconds since the epoch, without bounds where none are named."""
        return _span(self.starts, self.ends)


class Diversity(Stage, frozen=True, kw_only=True):
    """Items that say the same by their texts do not stand together."""

    method: Literal["mmr", "dpp"]
    """mmr: an item is held against the most similar one above it; dpp: against all that those above it say together."""
    weight: Annotated[float, Meta(ge=0, lt=1)] = 0.3
    """Of diversity against relevance; 0 leaves the order as it is."""
    positions: Positive = 50
    """How many of the first positions it looks at."""


class Exploration(Stage, frozen=True, kw_only=True):
    """Some lists are shown in another order than the usual one, and how probable the position of each item was is
    logged with what was shown (`propensities`), so that other rankings can be judged by the log."""

    method: Literal["epsilon", "thompson"]
    """epsilon: every order alike; thompson: the more probably an item stands elsewhere, the less is known of its
    relevance, which is the less it was shown in the last 28 days."""
    share: Share = 0.1
    """How probable it is that a list is explored."""
    positions: Positive = 10
    """The first positions, as they are without exploration, are those whose items change positions, but for pins. More
    than an answer shows bring others into it, and fewer keep those behind them where they are."""
    uncertainty: PositiveFloat = 0.1
    """With thompson: how far off the relevance, from 0 to 1, of an item may be that was never shown: a standard
    deviation."""


class Surface(Stage, frozen=True, kw_only=True):
    """Rules of a place where items are shown, which a request names, such as home or cart; `default` is that of a
    request which names none. A server follows a change of this section without a restart. See docs/rules.md."""

    filter: str | None = None
    """Only such items are shown: a condition over the columns of items, as in "price < 50 and category != 'gift'"."""
    exclude: list[str] = []
    """Items that are not shown."""
    exclude_file: str | None = None
    """A file of further ones, an item_id a line, relative to the folder of recsys.toml."""
    exclude_bought: ExcludeBought | None = None
    """Leave out what the user has."""
    max_per_category: Positive | None = None
    """Most items of one category in an answer."""
    boosts: list[Boost] = []
    """What counts for more, or for less."""
    pins: list[Pin] = []
    """What has a fixed position."""
    diversity: Diversity | None = None
    """Keep similar items apart."""
    exploration: Exploration | None = None
    """Try out items."""

    def __post_init__(self) -> None:
        if self.filter is not None:
            condition(self.filter)


class Checks(Stage, frozen=True, kw_only=True):
    """What `recsys retrain` looks at in the logs before it learns from them, the latest days against the weeks before.
    See docs/retraining.md."""

    days: Positive = 7
    """The latest days, up to the last event, that are compared with as many before."""
    periods: Positive = 4
    """How many times so many days before them they are compared with; what has no past is not compared."""
    enough_rows: Positive = 200
    """Of fewer rows in the latest days no share and no volume says anything: they are not checked."""
    min_volume: Share = 0.3
    """Fewer rows than this share of the median of the earlier periods are an error."""
    max_volume: PositiveFloat = 4.0
    """More rows than so many times the median are an error."""
    max_refused_share: Share = 0.02
    """More rows of a table than this share that the import refused are an error; any are a warning."""
    max_unknown_type_share: Share = 0.01
    """More interactions than this share of types that are not in interaction_types are an error; any are a warning."""
    max_gap_hours: PositiveFloat = 36.0
    """Longer without an event is an error, if no earlier period had a gap half as long; else a warning."""
    max_repeated_share: Share = 0.2
    """More rows than this share that say the same as another one of the same minute are an error, if they are twice as
    many as before."""
    max_label_change: Annotated[float, Meta(gt=1)] = 3.0
    """The share of labels among all events may become so many times larger or smaller."""
    max_user_share: Share = 0.1
    """One user with more of the events than this share is an error, if nobody had half as much before."""
    max_item_share: Share = 0.25
    """One item with more of the events than this share is an error, if none had half as much before."""
    max_shown_share: Share = 0.8
    """One item in more of the impressions than this share is an error, if none was in half as many before."""


class Gate(Stage, frozen=True, kw_only=True):
    """When a retrained bundle takes the place of the champion: docs/retraining.md."""

    days: Positive = 14
    """The latest days, which the challenger does not learn from, and on which both are measured."""
    min_users: Positive = 50
    """With fewer users to measure on the champion stays."""
    max_users: Positive = 5000
    """Of more, so many are drawn: they make the figures sure enough."""
    margin: float = -0.02
    """The challenger must be better than this for sure, as a share of what the champion reaches on the main metric:
    the lower end of the 95 % interval of the difference. 0 asks for a proven gain."""
    max_size: PositiveFloat = 2.0
    """Times the bytes of the champion that the challenger may have."""
    max_latency: PositiveFloat = 1.5
    """Times the median milliseconds of the champion for one user that the challenger may take."""
    audited_windows: Positive = 4
    """Windows that `recsys audit leaks` looks at, other ones each time; what both are measured on is always one."""
    audited_rows: Positive = 210
    """Rows that `recsys audit leaks` makes anew."""
    audited_requests: Annotated[int, Meta(ge=0)] = 20
    """Answers with logged features that `recsys audit parity` replays; 0: the gate does not ask whether what is served
    is what training computes."""
    min_audited_requests: Positive = 5
    """Of fewer that can be replayed the gate says nothing."""


class Drift(Stage, frozen=True, kw_only=True):
    """What `recsys drift` and each retraining compare: the latest days with those that the champion learned from. See
    docs/drift.md."""

    days: Positive = 7
    """The latest days, up to the last event."""
    reference_days: Positive = 28
    """What they are compared with: the last so many days that the champion learned from."""
    note: PositiveFloat = 0.1
    """A population stability index from here on is worth a look."""
    alert: PositiveFloat = 0.25
    """From here on it is an alert."""
    clicks_note: PositiveFloat = 0.1
    """Clicks that differ from those expected by more than this share of them are worth a look."""
    clicks_alert: PositiveFloat = 0.25
    """From here on they are an alert."""
    webhook: str | None = None
    """Where new alerts are sent, as JSON: http:// or https://. ${NAME} stands for an environment variable: keep the
    secret part of the address in one."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("note", self.note, self.alert),
            ("clicks_note", self.clicks_note, self.clicks_alert),
        ):
            if low > high:
                raise ValueError(f"{name} is {low:g}, above the alert of {high:g}; expected at most that")
        if self.webhook is not None and not self.webhook.startswith(("http://", "https://", "${")):
            raise ValueError("webhook is no address; expected http://… or https://…, or ${NAME} for one")

    def __repr__(self) -> str:
        """Without the address, whose path is often a secret."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Drift({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "webhook"]


class Retrain(Stage, frozen=True, kw_only=True):
    """`recsys retrain`, which other work on the machine goes before."""

    text_every_days: Annotated[float, Meta(ge=0)] = 28.0
    """Days of the log after which the text model is trained anew; before, that of the champion is used again, and only
    new and changed items are encoded. 0 trains it every time."""
    nice: Annotated[int, Meta(ge=0, le=19)] = 10
    """How far it gives way to other processes: 0 not at all, 19 the most."""
    threads: Positive | None = None
    """Most threads; not set: one for each core."""
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] | None = None
    """Who is told of each retraining; not set: mlflow where recsys[mlflow] is installed. [] is nobody."""


class Bundles(Stage, frozen=True, kw_only=True):
    """Where model bundles are kept and how many: docs/bundles.md."""

    url: str | None = None
    """An object store that several machines share: s3://bucket/folder with the extra recsys[s3], gs://bucket/folder
    with recsys[gs], file:///folder, or what else fsspec knows. Not set: the folder bundles/ of the project alone."""
    poll_seconds: PositiveFloat = 2.0
    """How often a server asks the store which bundle is champion."""
    keep: Positive = 10
    """So many of the newest stay when `recsys retrain` has promoted one, here and in the store; beside them the
    champion, the one before it and those that experiments name."""

    def __post_init__(self) -> None:
        if self.url is not None and not _STORE.fullmatch(self.url):
            raise ValueError(f"url is {self.url!r}; expected such as s3://bucket/folder or file:///folder")


class Variant(Stage, frozen=True, kw_only=True):
    """What some users of an experiment get."""

    bundle: str = CHAMPION
    """A bundle by its id, or champion: whichever serves."""
    share: Share = 0.0
    """Of all users."""
    shadow: bool = False
    """Nobody is shown its lists: it is asked what users of the experiment ask, beside the answer, and its lists are
    logged."""


class Experiment(Stage, frozen=True, kw_only=True):
    """Bundles are compared on the users of a server, each of whom always gets the same one. A server follows a change
    of this section without a restart. See docs/experiments.md."""

    variants: Annotated[dict[str, Variant], Meta(min_length=1)]
    """By name, as in variants.control = { share = 0.5 }. The others are compared with the first."""
    method: Literal["split", "interleave"] = "split"
    """split: a list is that of the variant of its user; interleave: the two variants take turns in each list."""
    salt: str | None = None
    """What decides, with the user_id, who gets which variant; the name of the experiment if absent."""
    surfaces: list[str] = []
    """Where it takes place, as requests name it; everywhere if empty."""
    enabled: bool = True
    """Whether it takes place at all."""
    starts: datetime | None = None
    """From when on, by the clock of the server; without a zone it is UTC."""
    ends: datetime | None = None
    """Until when."""
    window_days: PositiveFloat = 1.0
    """What a user does counts for so long after the first list of the experiment; a user counts once that is over."""
    planned_users: Positive = 10_000
    """With so many users the intervals of the report are meant to be narrow; name it before you look."""

    def __post_init__(self) -> None:
        shown = self.shown
        if (total := sum(variant.share for variant in shown.values())) > 1 + 1e-9:
            raise ValueError(f"the shares of the variants sum to {total:g}; expected at most 1")
        for name, variant in self.variants.items():
            if variant.shadow == (variant.share > 0):
                what = "a share, but nobody is shown a shadow" if variant.shadow else "no share of the users"
                raise ValueError(f"the variant {name!r} has {what}; set its share, or shadow = true, not both")
        if self.method == "interleave" and len(shown) != 2:
            raise ValueError(f"interleave mixes the lists of two variants; found {sorted(shown)}")
        starts, ends = self.span
        if starts >= ends:
            raise ValueError(f"the experiment ends at {self.ends}, not after it starts at {self.starts}")

    @property
    def shown(self) -> dict[str, Variant]:
        """The variants that users get, in the order of the file."""
        return {name: variant for name, variant in self.variants.items() if not variant.shadow}

    @property
    def span(self) -> tuple[float, float]:
        """Seconds since the epoch, without bounds where none are named."""
        return _span(self.starts, self.ends)


class Config(Stage, frozen=True):
    """The whole of recsys.toml."""

    name: str
    """What the project is called; reports and bundles bear it."""
    source: Source
    interaction_types: dict[str, InteractionType]
    columns: dict[Literal["items", "interactions", "impressions", "users"], dict[str, str]] = {}
    """For each table: our column name = the name in the user's file. Columns not named here keep their own name."""
    text: Text = field(default_factory=Text)
    split: Split = field(default_factory=Split)
    finetune: Finetune = field(default_factory=Finetune)
    retrieval: Retrieval = field(default_factory=Retrieval)
    ranker: Ranker = field(default_factory=Ranker)
    evaluation: Evaluation = field(default_factory=Evaluation)
    features: Features = field(default_factory=Features)
    serving: Serving = field(default_factory=Serving)
    log: Log = field(default_factory=Log)
    checks: Checks = field(default_factory=Checks)
    gate: Gate = field(default_factory=Gate)
    drift: Drift = field(default_factory=Drift)
    retrain: Retrain = field(default_factory=Retrain)
    bundles: Bundles = field(default_factory=Bundles)
    security: Security = field(default_factory=Security)
    surfaces: dict[str, Surface] = {}
    experiments: dict[str, Experiment] = {}

    @property
    def experiment_bundles(self) -> frozenset[str]:
        """The bundles that experiments name, whether these take place now or not."""
        named = {each.bundle for one in self.experiments.values() for each in one.variants.values()}
        return frozenset(named - {CHAMPION})

    @property
    def label_types(self) -> tuple[str, ...]:
        """The interaction types that the engine learns to predict, in the order of the file."""
        return tuple(name for name, kind in self.interaction_types.items() if kind.label)


def _span(starts: datetime | None, ends: datetime | None) -> tuple[float, float]:
    first, last = (
        None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() for at in (starts, ends)
    )
    return -inf if first is None else first, inf if last is None else last


def load_config(path: Path) -> Config:
    """Read and validate a recsys.toml; a naive test_start is UTC.

    Raises ConfigError with the file, the place in it and what was expected there.
    """
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or error}; expected a recsys.toml, write one with `recsys init`"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}; correct that line, docs/configuration.md lists every key") from error
    try:
        online_address.check(config.features.online_store)
        online_address.check(config.log.store, "log.store")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    source = config.source
    if source.interactions is None and (source.items is None or source.format != "files"):
        raise ConfigError(f"{path}: [source] names neither interactions nor items; name one of them, or both")
    if config.features.user_attributes and source.users is None and source.format in WITHOUT_USERS:
        what = "say under users where their table lies, or " if source.format == "files" else ""
        raise ConfigError(
            f"{path}: [features] user_attributes names {sorted(config.features.user_attributes)}, but [source] names "
            f"no users; {what}remove user_attributes"
        )
    kinds = config.features.user_attributes
    if unknown := sorted(name for name in config.retrieval.popular_by if kinds.get(name) != "categorical"):
        raise ConfigError(
            f"{path}: [retrieval] popular_by names {unknown}, expected categorical attributes of users; "
            f'write {unknown[0]} = "categorical" into user_attributes under [features]'
        )
    if not config.label_types:
        raise ConfigError(
            f"{path}: no interaction type has label = true among {sorted(config.interaction_types)}; "
            "mark the types to predict, for example purchase = { weight = 1.0, label = true }"
        )
    for name, surface in config.surfaces.items():
        if surface.exclude_bought and (strange := set(surface.exclude_bought.types) - config.interaction_types.keys()):
            raise ConfigError(
                f"{path}: [surfaces.{name}] exclude_bought names the types {sorted(strange)}; "
                f"expected some of {sorted(config.interaction_types)}"
            )
    for name, experiment in config.experiments.items():
        known = {*config.surfaces, DEFAULT_SURFACE}
        if config.surfaces and (strange := set(experiment.surfaces) - known):
            raise ConfigError(
                f"{path}: [experiments.{name}] surfaces names {sorted(strange)}; expected some of {sorted(known)}"
            )
    if config.split.test_start is not None and config.split.test_start.tzinfo is None:
        start = config.split.test_start.replace(tzinfo=UTC)
        config = msgspec.structs.replace(config, split=msgspec.structs.replace(config.split, test_start=start))
    return config
