"""Load the engine of a project: its champion, its online store and what its event log has of items.

Reads   bundles/, features/, events.db, recsys.toml
"""

from features.online_behaviour import OnlineBehaviour
from recsys.bundle import champion, champion_state, open_bundle
from recsys.champions import previous_champion
from recsys.errors import BundleError
from recsys.retrieval import Channels
from recsys.workspace import Workspace
from serving.bundle_engine import BundleEngine
from serving.guarded_channels import tell_other_channels
from serving.item_table import latest_items


def newest(workspace: Workspace) -> tuple[object, str]:
    """What load_engine would load: the champion as its files are, and the filling of the online store.

    Raises BundleError or FeatureStoreError when there is none.
    """
    champion(workspace.bundles)
    return champion_state(workspace.bundles), OnlineBehaviour.of(workspace).online_filling()


def filling(workspace: Workspace) -> str:
    """What tells one filling of the online store from the next. Raises FeatureStoreError when there is none."""
    return OnlineBehaviour.of(workspace).online_filling()


def load_before(workspace: Workspace) -> BundleEngine:
    """The engine of the champion before this one. Raises BundleError when there was none, else as load_engine."""
    bundles = workspace.bundles
    before = previous_champion(bundles, champion(bundles).name)
    if before is None:
        raise BundleError(f"{bundles}: no champion is known from before this one")
    return load_engine(workspace, before)


def load_engine(workspace: Workspace, bundle_id: str | None = None) -> BundleEngine:
    """The engine of the project's champion, or of another bundle, every file of it checked.

    Raises BundleError, FeatureStoreError, ConfigError or ChannelError, which say what to do.
    """
    bundle = open_bundle(champion(workspace.bundles) if bundle_id is None else workspace.bundles / bundle_id)
    store = OnlineBehaviour.of(workspace)
    config = workspace.config
    channels = Channels.of(config.retrieval)
    tell_other_channels(bundle.manifest, channels)
    engine = BundleEngine(
        bundle,
        store,
        features=store.features,
        events=workspace.events,
        weights={name: kind.weight for name, kind in config.interaction_types.items()},
        candidates=config.retrieval.candidates,
        channels=channels,
        precision=config.text.precision,
        logged_features_share=config.serving.logged_features_share,
        most_a_day=config.source.max_events_per_user_per_day,
        batch_requests=config.serving.batch_requests,
        batch_wait_ms=config.serving.batch_wait_ms,
        packed_in=workspace.cache,
    )
    if workspace.events.exists():
        engine.replay(latest_items(workspace.events), workspace.embeddings)
    # As long as it takes: there may be a day of events.
    engine.live.catch_up()
    return engine
