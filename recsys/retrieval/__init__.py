"""Candidates: several channels each say which items a user may want, and are merged with their provenance kept.

A channel is one small module with one function, Query → float64 (n_items,), -inf where it has nothing to say. A new one
is added to CHANNELS.
"""

from recsys.retrieval.channels import CHANNELS, Channel
from recsys.retrieval.merge import CandidateSet, retrieve
from recsys.retrieval.query import Query

__all__ = ["CHANNELS", "CandidateSet", "Channel", "Query", "retrieve"]
