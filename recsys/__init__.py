"""The vocabulary of the recommendation engine: tables, configuration, metrics, retrieval, scorer, bundle, command line.

Imports neither features, training nor serving, and never a training framework.
"""

import os

__version__ = "0.1.0"

# Before anything loads OpenMP, which reads it once: threads that spin while they wait keep the core from the one that
# they wait for. On a machine with other work LightGBM takes three to seven times as long that way, and torch twice.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
