"""Measure all of it for one project.

Reads   tables/, log/, bundles/champion
Writes  features/   snapshots of two moments
"""

from datetime import date, datetime

from recsys.bundle import Bundle
from recsys.drift import DriftReport, Figure, Place, Topic
from recsys.errors import BundleError
from recsys.workspace import Workspace
from training.drift.champion import Champion
from training.drift.clicks import click_figures
from training.drift.feedback import feedback_figures
from training.drift.periods import Periods
from training.drift.served import BothServed
from training.drift.topics import Topics, topic_figures, topics_by_week
from training.drift.unknown import unknown_by_day, unknown_figures
from training.pipeline import Pipeline

NO_CHAMPION = "there is no champion yet; `recsys train` or `recsys retrain` makes one"


def measure_drift(workspace: Workspace, champion: Bundle | None, now: datetime) -> DriftReport:
    """What has moved up to the end of the tables; `now`: what the clock says.

    What cannot be measured is named with the reason. Raises DataError when the log is too short for anything.
    """
    pipeline = Pipeline(workspace, cut=None)
    settings, labels = workspace.config.drift, workspace.config.label_types
    trained_until = None if champion is None else champion.manifest.trained_until
    periods = Periods.of(settings, pipeline.first, pipeline.last, trained_until)
    interactions, catalogue = pipeline.interactions, pipeline.catalogue
    figures: list[Figure] = []
    unmeasured: dict[str, str] = {}
    opened = _opened(pipeline, champion)
    served = opened if isinstance(opened, str) else opened.served(periods)
    if isinstance(served, str):
        unmeasured["features and scores"] = served
    else:
        figures += served.figures(settings)
    both = served if isinstance(served, BothServed) else None
    places: list[Place] = []
    clicks = click_figures(settings, pipeline.impressions, interactions, catalogue, periods, labels, both)
    if isinstance(clicks, str):
        unmeasured["clicks"] = clicks
    else:
        figures += clicks[0]
        places = clicks[1]
    days = unknown_by_day(interactions)
    for what, found in (
        ("unknown users and items", unknown_figures(settings, days, periods)),
        ("feedback", feedback_figures(settings, interactions, catalogue, periods, labels)),
    ):
        if isinstance(found, str):
            unmeasured[what] = found
        else:
            figures += found
    weeks: list[date] = []
    topics: list[Topic] = []
    if isinstance(opened, str):
        unmeasured["topics"] = opened
    else:
        of_texts = Topics.of(opened.own_vectors, opened.own_texts, opened.vectors)
        figures += topic_figures(settings, of_texts, interactions, catalogue, periods)
        weeks, topics = topics_by_week(of_texts, interactions, catalogue, periods)
    return DriftReport(
        measured_at=now,
        champion=None if champion is None else champion.manifest.bundle_id,
        reference=periods.reference,
        latest=periods.latest,
        features_of=None if both is None else both.way,
        figures=figures,
        unmeasured=unmeasured,
        days=days,
        weeks=weeks,
        topics=topics,
        places=places,
    )


def _opened(pipeline: Pipeline, champion: Bundle | None) -> Champion | str:
    """Or why it cannot rank."""
    if champion is None:
        return NO_CHAMPION
    try:
        return Champion(pipeline, champion)
    except BundleError as error:
        return str(error)
