"""Send new alerts to the webhook of recsys.toml, each once until it is over.

The body is JSON: `text`, which chat services show as it is, and `project`, `champion`, `measured_at`, `alerts`. It says
how distributions have moved, and nothing of any user.
"""

import os
import re
import time
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError

import msgspec

from recsys.drift import DriftReport, Figure
from recsys.errors import RecsysError

TIMEOUT_S: Final = 10.0
PAUSES_S: Final = (1.0, 4.0)
"""Before the second attempt and before the third."""

WORTH_ANOTHER: Final = (408, 425, 429, 500, 502, 503, 504)
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


class WebhookError(RecsysError):
    """Alerts could not be sent. The message does not hold the address, which is often a secret."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirected POST would become a GET."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def tell(webhook: str, project: str, report: DriftReport) -> None:
    """Send the alerts that the report does not have among those told, if there are any. Raises WebhookError."""
    new = [one for one in report.alerts if one.key not in report.told]
    if new:
        post(resolved(webhook), msgspec.json.encode(message(project, report, new)))


def message(project: str, report: DriftReport, alerts: Sequence[Figure]) -> dict[str, object]:
    """The body."""
    lines = "\n".join(f"- {one}" for one in alerts)
    return {
        "text": f"{project}: drift\n{lines}",
        "project": project,
        "champion": report.champion,
        "measured_at": report.measured_at,
        "alerts": alerts,
    }


def resolved(webhook: str) -> str:
    """The address with the values of its variables. Raises WebhookError."""
    if missing := sorted(name for name in set(_VARIABLE.findall(webhook)) if name not in os.environ):
        raise WebhookError(f"drift.webhook: found no environment variable {missing}; set it where `recsys` runs")
    address = _VARIABLE.sub(lambda found: os.environ[found[1]], webhook)
    if not address.startswith(("http://", "https://")):
        raise WebhookError("drift.webhook: its variables make no address; expected http://… or https://…")
    return address


def post(address: str, body: bytes) -> None:
    """Send, up to three times. Raises WebhookError."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310
    opener = urllib.request.build_opener(_Stay)
    for pause in (*PAUSES_S, None):
        try:
            with opener.open(request, timeout=TIMEOUT_S):
                return
        except HTTPError as error:
            error.close()
            problem, again = f"it answered {error.code}", error.code in WORTH_ANOTHER
        except (OSError, HTTPException) as error:
            problem, again = f"it cannot be reached ({type(error).__name__})", True
        except ValueError:
            problem, again = "its address cannot be used", False
        if not again or pause is None:
            break
        time.sleep(pause)
    raise WebhookError(f"drift.webhook: {problem}; the alerts are sent with the next measurement")
