"""The recsys.toml of a simulation and the README that says that nothing in the folder is real."""

from datetime import timedelta
from typing import Final

from recsys.simulation.settings import FIRST_DAY, Settings
from recsys.simulation.tables import BUNDLE, CLICK, PURCHASE
from recsys.simulation.users import STATED_INTEREST

NAME: Final = "synthetic_shop"
"""What reports and bundles call it."""

TEST_DAYS, TEST_SHARE = 14, 0.2


def config_text(settings: Settings) -> str:
    """The recsys.toml: the last 14 days, or the last fifth of a shorter log, are held back."""
    days = max(1, min(TEST_DAYS, round(settings.days * TEST_SHARE)))
    start = FIRST_DAY + timedelta(days=settings.days - days)
    return f"""\
# SYNTHETIC: made by `recsys simulate --seed {settings.seed}`, README.md says how.
# docs/configuration.md explains every key.
name = "{NAME}"

[source]
items = "synthetic/items.parquet"
users = "synthetic/users.parquet"
impressions = "synthetic/impressions"
interactions = "synthetic/interactions"

[interaction_types]
{CLICK} = {{ weight = 1.0, label = true }}
{PURCHASE} = {{ weight = 5.0, label = true }}

[text]
template = "{{title}}. {{category}}"

[split]
test_start = {start.isoformat()}
validation_days = {days}

[ranker]
window_days = {days}

[features]
user_attributes = {{ {STATED_INTEREST} = "categorical" }}
"""


def readme_text(settings: Settings) -> str:
    """The README.md of the folder."""
    looks = (
        f"looks at position k with probability 1 / k^{settings.position_decay:g}"
        if settings.click_model == "position"
        else "looks from the top down to the first item that is clicked"
    )
    size = f"{settings.impressions:,} lists of {settings.list_length} out of {settings.items:,} items"
    whom = f"{settings.users:,} users in {settings.days} days"
    usual, random = f"{1 - settings.exploration:.0%}", f"{settings.exploration:.0%}"
    return f"""\
# A synthetic shop

Nothing here is real: `recsys simulate` made up every item, user, list, click and purchase (seed {settings.seed}).
Every table has a column `synthetic`, the impressions name the bundle `{BUNDLE}`, and reports
bear the name `{NAME}`. Figures measured here say nothing of real users. They are good for a comparison with
the truth, for load tests and for trying out the engine.

```sh
recsys import --config recsys.toml
recsys train --config recsys.toml
```

{size} were shown to {whom}.

- An item is about topics; its title, its category and its price level follow them.
- A user has a taste over the topics, which drifts, cares for the price, and comes more or less often.
- A list is made of items that suit the taste and of popular ones. {usual} of the lists are ordered by what the shop
  takes for popular, about which it is wrong; {random} are in a random order. `propensities` of an impression are the
  probabilities that each item stood where it stood, given the items of the list.
- A user {looks}, and clicks what is seen
  with the probability of its attractiveness. Half of that is the probability of a purchase after the click.

`truth/` holds what no log tells. `recsys.simulation.truth_files.read_truth` reads it, and `.attractiveness(at=1.0)` is
then the matrix of users × items on the last day, in the order of their ids.
"""
