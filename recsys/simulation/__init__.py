"""A made-up shop whose truth is known: catalogue, users with tastes, lists shown to them, clicks and purchases.

For load tests, for tests of debiasing, A/B and off-policy estimates, and for trying the engine without data. Everything
here is synthetic: no figure that is measured on it says anything of real users.

    simulated = simulate(Settings(users=200, items=100, impressions=5_000, seed=0))
    simulated.impressions, simulated.interactions         tables of recsys.schema
    simulated.truth.attractiveness(at=1.0)                what no log tells: float64 (n_users, n_items)
"""

from recsys.simulation.logs import Part, Simulated, Simulator, simulate
from recsys.simulation.settings import Settings
from recsys.simulation.truth import Truth

__all__ = ["Part", "Settings", "Simulated", "Simulator", "Truth", "simulate"]
