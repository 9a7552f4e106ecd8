"""The vocabulary of the recommendation engine: tables, configuration, metrics, retrieval, scorer, bundle, command line.

Imports neither features, training nor serving, and never a training framework.
"""

__version__ = "0.1.0"
