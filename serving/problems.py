"""Errors as application/problem+json (RFC 9457), with the path of the field that is to blame.

A request that cannot be answered raises a Litestar HTTPException. `invalid` makes the one for a field that is not as
the description of the API says, `unprocessable` the one for a field that is, but asks for what this project cannot do.
"""

import logging
import re
import traceback
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException

from serving.events import NotStoredError
from serving.methods import methods_of
from serving.types import Refusal

MEDIA_TYPE: Final = "application/problem+json"

_LOG: Final = logging.getLogger(__name__)
_PLACE: Final = re.compile(r"(?P<reason>.*) - at `(?P<path>\$.*)`", re.DOTALL)
_NAMED_FIELD: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")


class Problem(msgspec.Struct, omit_defaults=True):
    """Why a request was not answered."""

    title: str
    status: int
    detail: str
    path: str | None = None
    """The field of the body, as in $.candidates[3]; $ is the body itself, and ?limit a parameter in the address."""
    results: Any = None
    """For events: what became of each of them."""


def invalid(path: str, reason: str, **members: Any) -> ValidationException:
    """The 400 for a field that is not as described. `members` become members of the problem."""
    return ValidationException(f"{path}: {reason}", extra={"path": path, **members})


def unprocessable(path: str, reason: str, **members: Any) -> HTTPException:
    """The 422 for a field that is as described, and asks for what this project does not have or allow (RFC 9110)."""
    return HTTPException(f"{path}: {reason}", status_code=422, extra={"path": path, **members})


def nothing_stored(refusals: Sequence[Refusal], what: str, results: Sequence[Any]) -> HTTPException:
    """When all entries of a request are refused: the 400 where any of them is not as described, else the 422.

    what     is not stored, in the singular
    results  of each entry
    """
    malformed = next((each for each in refusals if each.malformed), None)
    blamed, problem = (refusals[0], unprocessable) if malformed is None else (malformed, invalid)
    return problem(blamed.path, f"{blamed.reason}; no {what} was stored", results=results)


def explain_decoding(error: Exception, *, at: str = "$") -> tuple[str, str]:
    """The path and the reason of what msgspec raised on a body, or on the part of a body that lies `at` this path."""
    if isinstance(error, UnicodeDecodeError):
        return at, "text that is not UTF-8; expected JSON in UTF-8"
    if isinstance(error, RecursionError):
        return at, "nested too deeply; expected the fields that /docs lists"
    message = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return at, f"{message}; expected JSON"
    path = at
    if place := _PLACE.fullmatch(message):
        message, path = place["reason"], at + place["path"][1:]
    if field := _NAMED_FIELD.search(message):
        path += f".{field['name']}"
    return path, message


def answer_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Errors on purpose, and those of Litestar itself: no such route, wrong method, body too large."""
    headers = error.headers
    if isinstance(error, MethodNotAllowedException) and (methods := methods_of(request)):
        headers = {"Allow": ", ".join(methods)}
    if isinstance(error, ValidationException) and not isinstance(error.extra, dict):
        error = _of_litestar(error)
    members = error.extra if isinstance(error.extra, dict) else {}
    return _respond(error.status_code, error.detail, headers=headers, **members)


def _of_litestar(error: ValidationException) -> ValidationException:
    """What Litestar itself finds: a bad parameter, or, as bodies are decoded elsewhere, that there is none."""
    for found in error.extra if isinstance(error.extra, list) else []:
        if isinstance(found, dict) and found.get("source") == "query":
            return invalid(f"?{found['key']}", str(found["message"]))
    return invalid("$", "there is no body; expected JSON")


def answer_not_stored(_: Request[Any, Any, Any], __: NotStoredError) -> Response[Problem]:
    """The event log cannot be written; it has said why to the server's own log."""
    detail = "the event log cannot be written; nothing of this request is stored, send it again"
    return _respond(503, detail, headers={"Retry-After": "1"})


def answer_failure(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A fault of the server. The log gets the kind and the place: the message might carry a user's id."""
    places = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("a request failed with %s\n%s", type(error).__qualname__, places)
    return _respond(500, "the server failed on this request; its log says where")


def _respond(
    status: int, detail: str, *, path: str | None = None, results: Any = None, headers: dict[str, str] | None = None
) -> Response[Problem]:
    problem = Problem(HTTPStatus(status).phrase, status, detail, path, results)
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers)
