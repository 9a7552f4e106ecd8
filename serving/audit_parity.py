"""Prove that an answer was made from the features that training would have computed.

Requests whose features were logged are replayed through the offline path: the tables, and what the event log had then,
are aggregated anew, joined in time and assembled for the same candidates. Both matrices must be equal.

Reads   tables/, events.db, bundles/

    recsys audit parity --config recsys.toml
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.differences import Difference, matrix_differences
from features.featureset import FeatureSet
from features.known_before import SnapshotTables
from features.recent import Row
from features.store import BehaviourStore
from features.weights import weigh, weights_of
from recsys.bundle import Bundle, open_bundle
from recsys.bundle_files import CATALOGUE_FILE
from recsys.catalogue import Catalogue
from recsys.errors import BundleError
from recsys.progress import progress
from recsys.state import ItemState
from recsys.workspace import Workspace
from serving.bundle_engine import BundleEngine
from serving.feature_table import LoggedRequest, logged_requests
from serving.fitting import check_fits
from serving.item_table import latest_items
from serving.replayed_states import ReplayedStates
from serving.tables_then import tables_then

TOLERANCE = 1e-5
"""Relative, and absolute below 1: sums of floats come in another order, and products with more rows round otherwise."""


@dataclass
class ParityAudit:
    """What was replayed, why others were not, how many values were compared, and which differ."""

    replayed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    values: int = 0
    differences: list[Difference] = field(default_factory=list)


class OfflineSnapshot:
    """Stands for the online store of an engine, with what the offline store has of a moment."""

    def __init__(self, store: BehaviourStore, as_of: datetime) -> None:
        self._store, self._as_of = store, as_of

    def online_as_of(self) -> datetime:
        return self._as_of

    def online_written_at(self) -> datetime:
        return self._as_of

    def online_items(self, catalogue: Catalogue) -> ItemState:
        return self._store.items_at(catalogue, self._as_of)

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        raise NotImplementedError("users are read at the moment of their request")


def audit_parity(workspace: Workspace, *, requests: int, seed: int, latest: bool = False) -> ParityAudit:
    """Replay as many of the logged requests, drawn at random; latest: of those that were answered from the features
    that are in the online store now. Raises FeatureStoreError when there are none."""
    logged = list(logged_requests(workspace.events)) if workspace.events.exists() else []
    if latest:
        written_at = BehaviourStore.of(workspace).online_written_at()
        logged = [request for request in logged if request.features.written_at == written_at]
    drawn = np.sort(np.random.default_rng(seed).permutation(len(logged))[:requests]).tolist()
    found = ParityAudit()
    if not drawn:
        return found
    interactions = weigh(workspace.read_table("interactions"), workspace.config.interaction_types)
    users = workspace.read_table("users") if workspace.config.features.user_attributes else None
    tables = SnapshotTables(interactions, workspace.read_impressions(), users)
    # Each is read and hashed once, however many states it answered from.
    features = FeatureSet.of_config(workspace.config)
    bundle_of = cache(lambda name: _opened(workspace.bundles / name, features))
    with (
        progress("replaying requests", len(drawn)) as advance,
        TemporaryDirectory(prefix="recsys-audit-") as folder,
    ):
        states = ReplayedStates(BehaviourStore(Path(folder), features, weights_of(workspace.config.interaction_types)))
        for _, group in groupby((logged[at] for at in drawn), key=_state_of):
            same = list(group)
            bundle = bundle_of(same[0].bundle)
            if isinstance(bundle, str):
                found.skipped[bundle] += len(same)
            else:
                _replay(workspace, bundle, states, tables, same, found)
            advance(len(same), note=f"{len(found.differences)} differences")
    return found


def _state_of(request: LoggedRequest) -> tuple[object, ...]:
    """Requests with the same one were answered from the same features."""
    served = request.features
    return request.bundle, served.as_of, served.written_at, served.events, served.impressions, served.items


def _opened(path: Path, features: FeatureSet) -> Bundle | str:
    """Why not, when it is not there as it was published, or when these are not its features."""
    try:
        bundle = open_bundle(path)
    except BundleError:
        return "their bundle is no more"
    try:
        check_fits(features, bundle)
    except BundleError:
        return "their bundle has the features of another version or configuration"
    return bundle


def _replay(
    workspace: Workspace,
    bundle: Bundle,
    states: ReplayedStates,
    tables: SnapshotTables,
    requests: Sequence[LoggedRequest],
    found: ParityAudit,
) -> None:
    """Replay requests that this bundle answered from one state."""
    served, store = requests[0].features, states.store
    types = workspace.config.interaction_types
    most_a_day = workspace.config.source.max_events_per_user_per_day
    then = tables_then(workspace.events, tables, served, types, most_a_day)
    catalogue = Catalogue.load(pl.read_parquet(bundle.path / CATALOGUE_FILE))
    now = states.compute(bundle.manifest.bundle_id, catalogue, served.as_of, then, types, tables.users)
    engine = BundleEngine(
        bundle,
        OfflineSnapshot(store, served.as_of),
        features=store.features,
        events=store.folder / "no_events.db",
        weights={},
        candidates=workspace.config.retrieval.candidates,
        precision=workspace.config.text.precision,
    )
    engine.replay(latest_items(workspace.events, until=served.items), store.folder / "embeddings.db")
    state = store.items_at(engine.catalogue, now)
    engine.move_to(state)
    users = store.users_at([request.user_id for request in requests], engine.catalogue, now)
    for request, user in zip(requests, users, strict=True):
        expected = engine.features_of(user, request.features.candidates, request.query)
        compare(found, request.features.matrix, expected, request.features.candidates, bundle.manifest.features)


def compare(
    found: ParityAudit,
    served: NDArray[np.float32],
    expected: NDArray[np.float32],
    candidates: Sequence[str],
    names: Sequence[str],
) -> None:
    """Count a request, and what differs of each feature at the first candidate where it does."""
    if served.shape != expected.shape:
        found.differences.append(
            Difference("shape of the matrix", found.replayed, None, str(served.shape), str(expected.shape))
        )
    else:
        close = np.isclose(served, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        found.differences += matrix_differences(found.replayed, served, expected, ~close, names, candidates)
        found.values += expected.size
    found.replayed += 1


def summary(audited: ParityAudit) -> str:
    """What was done, in words."""
    lines = [f"{audited.replayed:,} requests replayed, {audited.values:,} values compared"]
    lines += [f"{count:,} not replayed: {reason}" for reason, count in audited.skipped.items()]
    if audited.replayed == 0 and not audited.skipped:
        lines.append("no request has its features logged yet; serving.logged_features_share says how many are")
    return "\n".join(lines)


def findings(audited: ParityAudit) -> list[str]:
    """For each thing that differs the first example, and in how many requests."""
    by_what: dict[str, list[Difference]] = {}
    for difference in audited.differences:
        by_what.setdefault(difference.what, []).append(difference)
    return [
        f"{of[0]} (in {len({difference.row for difference in of})} of {audited.replayed} requests); "
        "the tables have changed before the moment of the snapshot, or what serves computes the feature otherwise"
        for of in by_what.values()
    ]
