"""Stores that any Feast project can name in its feature_store.yaml; they know nothing of this engine."""
