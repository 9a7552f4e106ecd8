"""The HTTP API, the request path, the event log and the console: what a product service talks to.

Imports features and recsys; never training, torch or transformers.
"""
