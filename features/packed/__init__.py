"""Features of entities as packed rows: how they are laid out, where they lie and how they are read, without Feast.

What serves reads them so; features.feast_plugins makes online stores of Feast of the same code.
"""
