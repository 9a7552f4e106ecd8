"""From tables to models: features, text model, rankers, each a stage that is reused when nothing has changed.

Reads   tables/
Writes  features/, cache/
"""

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl

from features.recommender import Ranker, Recommender, TextSide, UntrainedRanker
from features.store import BehaviourStore
from features.trees import beside_network
from features.weights import weigh
from recsys.bundle_files import RANKER_FILE, RANKER_NETWORK_FILE
from recsys.catalogue import Catalogue
from recsys.config import Finetune
from recsys.config import Ranker as RankerConfig
from recsys.errors import DataError
from recsys.forgetting.key import Shorts, UserKey
from recsys.forgetting.lineage import write_trained_users
from recsys.interest import InterestScorer, signal_names
from recsys.progress import progress
from recsys.retrieval import Channels
from recsys.schema import TABLES, TIMESTAMP, USER_ID
from recsys.split import cold_items, earlier_windows
from recsys.state import ItemState, Mask
from recsys.workspace import Workspace
from training.carried_text import CarriedText
from training.encoder import TextEncoder
from training.export_ranker import export_ranker
from training.finetune import finetune
from training.lessons import Tables
from training.pretrained import encoder_files, encoder_folder
from training.ranker import ChosenTrees, train_ranker
from training.ranker_rows import RankerRows
from training.ranker_settings import check_monotone
from training.shown_lists import ShownList, shown_lists
from training.stages import Stages, hash_of_file, key_of
from training.text_stage import TextModel, save_text_model
from training.walk import Measured, forget_walk, unwatched
from training.window_rows import WindowRows
from training.windows import Window, open_window

CHOSEN_FILE = "chosen_trees.json"
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a log without any interaction begins and ends."""


class Pipeline:
    """The models of one project as of one cut: they know nothing of what happened at or after it."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        cut: datetime | None,
        measured: Measured = unwatched,
        carried: CarriedText | None = None,
    ) -> None:
        """`cut` None: learn from everything; then nothing is held back, and no item is kept from the text model.

        measured  is told what fine-tuning measures
        carried   an earlier text model that is used again; None: it is trained
        """
        self.measured = measured
        self.carried = carried
        self.workspace = workspace
        self.config = workspace.config
        self.channels = Channels.of(self.config.retrieval)
        self.stages = Stages(workspace)
        self._known: dict[datetime, str] = {}
        self.impressions = workspace.read_impressions()
        self.interactions = weigh(workspace.read_table("interactions"), self.config.interaction_types)
        self.first, self.last = self._span()
        self.end = self.last + timedelta(microseconds=1)
        # With nothing to learn from there is nothing to hold back.
        self.cut = self.end if cut is None or self.first == BEFORE_ALL else cut
        if not self.first < self.cut <= self.end:
            raise DataError(
                f"interactions: they run from {self.first} to {self.last}, the cut is {self.cut}; "
                "expected a cut within that time, set split.test_start or --test-start"
            )
        self.store = BehaviourStore.of(workspace)
        self.features = self.store.features
        check_monotone(self.config.ranker, self.features.names(signal_names(self.config.label_types)))
        known = Catalogue.load(workspace, as_of=self.cut)
        project = self.features.project
        self.users = workspace.read_table("users") if project.user_attributes else None
        known = known.with_attributes(dict(project.item_attributes))
        self.catalogue = known.with_users(dict(project.user_attributes), self.users)
        self.hidden: Mask = np.zeros(len(self.catalogue), dtype=np.bool_)
        if cut is not None:
            self.hidden = cold_items(self.catalogue.item_ids)

    @cached_property
    def data_key(self) -> str:
        """A hash of all that the features depend on: tables, weights of the interaction types, and code."""
        tables = [hash_of_file(self.workspace.table_path(name)) for name in TABLES]
        return key_of([tables, self.config.interaction_types])

    @cached_property
    def trained_users(self) -> Shorts:
        """Whom the models learn from, as bundles note it (recsys.forgetting.lineage)."""
        before = pl.col(TIMESTAMP) < self.cut
        tables = [rows.filter(before) for rows in (self.interactions, self.impressions) if rows is not None]
        tables += [] if self.users is None else [self.users]
        ids = pl.concat([rows.select(USER_ID) for rows in tables])[USER_ID].unique()
        return UserKey.of(self.workspace.root).shorts(ids.drop_nulls())

    @cached_property
    def text_key(self) -> str:
        """A hash of all that the text model depends on."""
        return self.text_key_with(self.config.finetune)

    def text_key_with(self, finetune: Finetune) -> str:
        """The text_key under other settings of fine-tuning."""
        if self.carried is not None:
            return key_of([self.data_key, self.carried.stage, self.windows, self.cut])
        stages = [self.text_settings_with(finetune), self.windows, self.cut]
        return key_of([self.data_key, stages, bool(self.hidden.any())])

    def text_settings_with(self, finetune: Finetune) -> str:
        """A hash of all that the text model depends on but for the data and the moments."""
        encoder = [hash_of_file(self.encoder / name) for name in encoder_files(self.encoder)]
        return key_of([encoder, self.config.text, finetune, self.config.split.validation_days])

    @cached_property
    def ranker_key(self) -> str:
        """A hash of all that a ranker without the text model depends on."""
        return self.ranker_key_with(self.config.ranker)

    def ranker_key_with(self, ranker: RankerConfig) -> str:
        """The ranker_key under other settings of the ranker."""
        attributes = self.config.features.item_attributes, self.config.features.user_attributes
        retrieval = self.config.retrieval, self.channels.sources
        chosen = None if self.carried is None else self.carried.chosen
        return key_of([self.data_key, attributes, retrieval, ranker, self.cut, chosen])

    @cached_property
    def key(self) -> str:
        """A hash of all that the models together depend on."""
        return self.key_with(self.config.ranker)

    def key_with(self, ranker: RankerConfig) -> str:
        """The key under other settings of the ranker."""
        return key_of([self.text_key, self.ranker_key_with(ranker)])

    @cached_property
    def encoder(self) -> Path:
        """The folder of the encoder that fine-tuning starts from."""
        return encoder_folder(self.config.text.encoder, self.workspace.root)

    @cached_property
    def windows(self) -> list[datetime]:
        """The cuts of the ranker's windows, oldest first: of those configured, the ones with a past to learn from.

        With a text model that was carried over they are those that it was trained for, and the ones that followed
        since: what was computed for them serves again. Then the latest may be up to half shorter or longer.
        """
        end, length = self.cut, timedelta(days=self.config.ranker.window_days)
        if self.carried is not None:
            end = self.carried.trained_until
            end += -((end - self.cut + length / 2) // length) * length
        return self._windows_before(end)

    def window_number(self, at: int) -> int:
        """Of a window among those that the text model was trained for, from 0: the same as long as that serves."""
        trained = self.cut if self.carried is None else self.carried.trained_until
        first = (self._windows_before(trained) or self.windows)[0]
        return (self.windows[at] - first) // timedelta(days=self.config.ranker.window_days)

    def _windows_before(self, end: datetime) -> list[datetime]:
        config = self.config.ranker
        starts = earlier_windows(end, count=config.windows, days=config.window_days)
        return [start for start in starts if start - timedelta(days=config.window_days) >= self.first]

    @property
    def spans(self) -> list[tuple[datetime, datetime | None]]:
        """From when to when each window of the ranker lasts and, last, what is measured on."""
        return [*pairwise([*self.windows, self.cut]), (self.cut, None)]

    @property
    def label_weights(self) -> dict[str, float]:
        """The interaction types that are labels."""
        return {name: self.config.interaction_types[name].weight for name in self.config.label_types}

    def compute_features(self) -> None:
        """Snapshots of the features at every window, at the cut and at the end of the data, where there is none yet."""
        started = time.monotonic()
        self.compute_features_at({*self.windows, self.cut, self.end})
        self.stages.seconds["features"] = time.monotonic() - started

    def compute_features_at(self, moments: Iterable[datetime]) -> None:
        """Snapshots of the features at these moments, where there is none yet."""
        in_order = sorted(moments)
        self.known_at(in_order)
        with progress("features", len(in_order)) as advance:
            self.store.snapshot(
                self.interactions,
                self.catalogue,
                in_order,
                impressions=self.impressions,
                users=self.users,
                advance=advance,
            )

    @cached_property
    def text(self) -> TextModel:
        """The text model, fine-tuned and exported, or carried over; computed on first use."""
        history_items = self.config.finetune.history_items
        if self.carried is not None:
            carry = self.carried.carrier(self.catalogue, [*self.windows, self.cut], self.config, self.encoder)
            return TextModel(self.stages.run("text_carried", self.text_key, carry), history_items)

        def build(folder: Path) -> None:
            encoder = TextEncoder(self.encoder, self.config.text, self.config.finetune)
            tuned = finetune(
                encoder,
                Tables(self.interactions, self.impressions),
                self.catalogue,
                self.config,
                cut=self.cut,
                windows=self.windows,
                hidden=self.hidden,
                folder=folder,
                measured=self.measured,
            )
            save_text_model(encoder, tuned, self.catalogue, self.config, [*self.windows, self.cut], folder)
            write_trained_users(folder, self.trained_users)
            forget_walk(folder)

        return TextModel(self.stages.run("text", self.text_key, build), history_items)

    def recommender(self, items: ItemState, scorer: InterestScorer | None) -> Recommender:
        """The path from users to candidates, over the items of a moment."""
        text = (
            None if scorer is None else TextSide.of(scorer, items, exact_up_to=self.config.retrieval.exact_up_to_items)
        )
        return Recommender(self.features, items, text, self.config.retrieval.candidates, self.channels)

    def ranker(self, *, with_text: bool) -> Ranker:
        """The ranker with the text model's channels and features, or without; computed on first use."""
        trees = self.trees(with_text=with_text)
        if trees is None:
            return UntrainedRanker(self._names(with_text=with_text))
        return beside_network(trees, self.ranker_folder(with_text=with_text))

    def trees(self, *, with_text: bool) -> lgb.Booster | None:
        """The trees of the ranker; None where there was nothing to learn from."""
        path = self.ranker_folder(with_text=with_text) / RANKER_FILE
        return lgb.Booster(model_file=path) if path.exists() else None

    @property
    def parts_of_ranker(self) -> dict[str, Any]:
        """Of the ranker with the text model: how many trees it has, and whether a network scores beside them; empty
        where there was nothing to learn from."""
        trees, folder = self.trees(with_text=True), self.ranker_folder(with_text=True)
        if trees is None:
            return {}
        return {"trees": trees.num_trees(), "network": (folder / RANKER_NETWORK_FILE).exists()}

    def ranker_folder(self, *, with_text: bool) -> Path:
        """Where its files lie; empty where there was nothing to learn from. Only the one with text has an ONNX file."""
        name = "ranker" if with_text else "ranker_no_text"
        features = self._names(with_text=with_text)

        def build(folder: Path) -> None:
            parts = self.ranker_parts(with_text=with_text)
            if not parts:
                print(f"{name}: nothing to learn from yet, items go by text and popularity", file=sys.stderr)
                return
            config, rows = self.config.ranker, sum(len(part.gains) for part in parts)
            settings = key_of([config, features])
            latest, chosen = None, None if self.carried is None else self.carried.chosen
            if chosen is not None and not chosen.serve(rows, settings):
                chosen = None
            if chosen is not None:
                config = msgspec.structs.replace(config, trees=chosen.trees)
            elif len(parts) > 1:
                latest = parts.pop()
            with_network = chosen is not None and chosen.network
            trees, network = train_ranker(RankerRows.joined(parts), latest, features, config, with_network=with_network)
            trees.save_model(folder / RANKER_FILE)
            if network is not None:
                network.save(folder / RANKER_NETWORK_FILE)
            if latest is not None:
                chosen = ChosenTrees(trees.num_trees(), rows, settings, network is not None)
            (folder / CHOSEN_FILE).write_bytes(msgspec.json.encode(chosen))
            if with_text:
                sample, seed = self.config.retrieval.candidates, self.config.ranker.seed
                export_ranker(trees, parts[-1].matrix, folder, sample=sample, seed=seed)

        return self.stages.run(name, self.key if with_text else self.ranker_key, build)

    @property
    def chosen_trees(self) -> ChosenTrees | None:
        """By how many trees the ranker with the text model has, if that was chosen at any time."""
        path = self.ranker_folder(with_text=True) / CHOSEN_FILE
        return msgspec.json.decode(path.read_bytes(), type=ChosenTrees | None) if path.exists() else None

    def _names(self, *, with_text: bool) -> tuple[str, ...]:
        return self.features.names(self.text.signals if with_text else ())

    def window(self, start: datetime, end: datetime | None) -> Window:
        """What is known at `start`, and what was chosen up to `end`."""
        return open_window(
            self.store,
            self.catalogue,
            self.interactions,
            start=start,
            end=end,
            label_weights=self.label_weights,
        )

    def shown_lists(self, start: datetime, end: datetime | None, *, most: int | None = None) -> list[ShownList]:
        """The impressions of a time, with what was chosen of them: before the cut, if they begin before it.

        most  items of an impression that are looked at, from the top; None: all
        """
        if self.impressions is None:
            return []
        inside = pl.col(TIMESTAMP) >= start
        if end is not None:
            inside &= pl.col(TIMESTAMP) < end
        known = self.interactions
        if start < self.cut:
            known = known.filter(pl.col(TIMESTAMP) < self.cut)
        return shown_lists(self.impressions.filter(inside), known, self.catalogue, self.label_weights, most=most)

    def ranker_parts(self, *, with_text: bool) -> list[RankerRows]:
        """What the ranker learns from: the rows of each window that has any, oldest first."""
        return WindowRows(self, with_text=with_text).parts()

    def known_at(self, moments: Sequence[datetime]) -> dict[datetime, str]:
        """Of each moment a hash of all that its snapshot depends on; snapshots of other data are dropped."""
        if not self._known.keys() >= set(moments):
            settings = key_of([self.config.interaction_types, self.config.features.user_attributes])
            known = self.store.forget_other_data(
                self.interactions,
                self.catalogue,
                [*self._known, *moments],
                impressions=self.impressions,
                users=self.users,
                settings=settings,
            )
            self._known.update(known)
        return self._known

    def _span(self) -> tuple[datetime, datetime]:
        first, last = self.interactions[TIMESTAMP].min(), self.interactions[TIMESTAMP].max()
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            return BEFORE_ALL, BEFORE_ALL
        return first, last
