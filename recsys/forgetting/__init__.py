"""Forgetting users: who is to be forgotten, and all that training keeps of them.

    recsys forget USER --config recsys.toml        docs/forgetting.md

What servers keep is in features.forgetting and serving.forgetting.
"""
