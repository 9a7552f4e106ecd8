"""Behavioural features: the same numbers for a training row in the past and for a request now.

Feast definitions, Polars aggregation, the feature store and the one matrix assembler that is used offline and online.
Imports recsys alone.
"""
