"""Errors that a person can act on. Each message says where, what was found, what was expected and what to do next.

The command line prints the message of a RecsysError without a traceback and ends with exit code 2.
"""


class RecsysError(Exception):
    """Base of every error that the engine raises on purpose."""


class ConfigError(RecsysError):
    """recsys.toml is missing, cannot be parsed or holds a value that is not allowed."""


class DataError(RecsysError):
    """An input file or a table is missing, empty or not of the expected shape."""


class LeakError(RecsysError):
    """A value that is to predict the future has seen that future."""


class ChannelError(RecsysError):
    """A retrieval channel of a user's own cannot be loaded, or fails."""


class BundleError(RecsysError):
    """A model bundle is missing, incomplete or does not match its manifest."""


class StoreError(BundleError):
    """The object store of the bundles does not answer, or refuses."""


class FeatureStoreError(RecsysError):
    """The feature store is missing, empty or serves other features than the model expects."""
