"""From tables to a model bundle and the report on it, one stage a module; the only package with a training framework.

In reading order: examples, finetune, export, ranker, evaluate, retrain. Imports features and recsys.
"""
