"""How large the body of a request may be, whether it says its size or not."""

from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException


def bound_body(request: Request[Any, Any, Any], max_bytes: int) -> None:
    """Refuse a body that says that it is larger with a 413, and read no more than that of one that does not."""
    size = request.content_length
    if size is not None and size > max_bytes:
        raise _too_large(max_bytes)
    receive, read = request.receive, 0

    async def receive_bounded() -> Any:
        nonlocal read
        message = await receive()
        if message["type"] == "http.request":
            read += len(message["body"])
            if read > max_bytes:
                raise _too_large(max_bytes)
        return message

    request.receive = receive_bounded


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(
        f"the body is too large; expected at most {max_bytes} bytes, send it in parts", status_code=413
    )
