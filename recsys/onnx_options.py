"""What all sessions of ONNX Runtime have in common."""

from typing import Final

import onnxruntime

ERRORS_ONLY: Final = 3


def session_options(*, threads: int) -> onnxruntime.SessionOptions:
    """So many threads, and no noise in the log."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    return options
