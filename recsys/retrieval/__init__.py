"""Candidates: several channels each say which items a user may want, and are merged with their provenance kept.

A channel is one small module with one function, Query → float64 (n_items,), -inf where it has nothing to say. A new one
is added to CHANNELS or to ON_REQUEST; users register their own by an entry point.
"""

from recsys.retrieval.channels import CHANNELS, DEFAULT_CHANNELS, ON_REQUEST, Channel, Channels
from recsys.retrieval.merge import CandidateSet, retrieve
from recsys.retrieval.query import Query

__all__ = ["CHANNELS", "DEFAULT_CHANNELS", "ON_REQUEST", "CandidateSet", "Channel", "Channels", "Query", "retrieve"]
