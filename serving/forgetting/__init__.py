"""Forgetting users where servers keep something of them: the event log, what was exported of it, the online store."""
