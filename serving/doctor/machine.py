"""Checks of the machine: disk, port, threads."""

import os
import shutil
import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from serving.doctor.finding import Finding, broken, doubtful, good

LEAST_FREE_BYTES: Final = 256 * 1024**2
FEW_FREE_BYTES: Final = 2 * 1024**3
"""A new bundle and a new filling of the store lie beside the old ones."""

CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")


def disk_has_room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:.1f} GB free where {folder} lies"
    mend = "make room: old bundles and the folder cache/ can go; event logs are exported before they go"
    if free < LEAST_FREE_BYTES:
        return broken("disk", f"{said}: the event log will soon refuse events", mend)
    return doubtful("disk", said, mend) if free < FEW_FREE_BYTES else good("disk", said)


def port_free(host: str, port: int) -> Finding:
    """Free, or taken by a recsys server, which may be the one that is looked at."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with closing(socket.create_server((host, port), family=family)):
            return good("port", f"{host}:{port} is free")
    except OSError as error:
        if _is_recsys(host, port):
            return good("port", f"a recsys server answers on {host}:{port}")
        return broken("port", f"{host}:{port}: {error.strerror}", "choose another with serving.port or --port")


def _is_recsys(host: str, port: int) -> bool:
    # What listens on all addresses is asked on this machine's own.
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened on
    with closing(HTTPConnection(asked, port, timeout=2)) as connection:
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().read() == b'{"status":"alive"}'
        except (OSError, HTTPException):
            return False


def threads_fit(limit_file: Path = CGROUP_LIMIT) -> Finding:
    """More threads than cores take turns, and those of a container that has used up its share all stop at once."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = _quota(limit_file)
    usable = min(cores, quota) if quota else cores
    said = f"{cores:.0f} cores" + (f", of which this container may use {quota:g}" if quota and quota < cores else "")
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = float(asked) if asked.isdigit() else cores
    said += f"; OMP_NUM_THREADS is {asked or 'not set'}"
    if threads > max(usable, 1.0):
        return doubtful("threads", said, f"set OMP_NUM_THREADS={max(int(usable), 1)}")
    if os.environ.get("OMP_WAIT_POLICY", "").upper() == "ACTIVE":
        return doubtful("threads", f"{said}; OMP_WAIT_POLICY is ACTIVE: waiting threads keep cores busy", "unset it")
    return good("threads", said)


def _quota(limit_file: Path) -> float | None:
    """Cores that the control group gives; None when there is no limit."""
    try:
        quota, period = limit_file.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)
