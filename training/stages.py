"""Results of the stages, kept by what went into them: what has not changed is not computed again.

cache/STAGE-KEY/      the files of a stage; KEY is a hash of its inputs, its configuration and the code
cache/STAGE-KEY/seconds    how long it took

Of each stage the latest results stay, and those that the champion and the one before it were made from: the next
retraining goes on from their text model, however many were refused since.
"""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

from recsys.bundle import champion_id, read_manifest
from recsys.champions import previous_champion
from recsys.errors import BundleError
from recsys.workspace import Workspace

PACKAGES = ("recsys", "features", "training")
SECONDS = "seconds"
KEPT = 3


@dataclass
class Stages:
    """The stages of one run over a project, and the seconds that each took when it was computed."""

    workspace: Workspace
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, name: str, inputs: object, build: Callable[[Path], None]) -> Path:
        """The folder of a stage; `build` fills it unless the same was built before.

        inputs  anything that msgspec can encode: all that the result depends on, but for the code
        build   may find in the folder what a run that was killed had written there
        """
        folder = self.workspace.cache / f"{name}-{key_of(inputs)}"
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.partial")
            # What a killed run left there is of the same inputs: `build` may go on from it.
            partial.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            build(partial)
            (partial / SECONDS).write_text(str(time.monotonic() - started))
            partial.rename(folder)
            self._forget_oldest(name)
        elif name not in self.seconds:
            print(f"{name}: nothing has changed, reused", file=sys.stderr)
        self.seconds[name] = float((folder / SECONDS).read_text())
        return folder

    def _forget_oldest(self, name: str) -> None:
        """Bound the cache: results for configurations and code of long ago are not needed again."""
        kept = sorted(self.workspace.cache.glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime)
        needed = self._of_champions()
        for folder in kept[:-KEPT]:
            if folder.name not in needed:
                shutil.rmtree(folder)
        # Of runs that were killed.
        for partial in self.workspace.cache.glob(f".{name}-*.partial"):
            shutil.rmtree(partial)

    def _of_champions(self) -> set[str]:
        """The stages that the champion and the one before it name."""
        bundles, found = self.workspace.bundles, set[str]()
        now = champion_id(bundles)
        # What cannot be read names nothing, and is no reason not to train what is to take its place.
        with suppress(BundleError):
            for name in (now, None if now is None else previous_champion(bundles, now)):
                if name is not None:
                    found.add(read_manifest(bundles / name).text.get("stage", ""))
        return found


def key_of(inputs: object) -> str:
    """A short hash of the inputs and of the code of the engine."""
    return sha256(msgspec.json.encode([inputs, code_hash()])).hexdigest()[:16]


@cache
def code_hash() -> str:
    """A hash of every Python file of the packages that compute results."""
    root = Path(__file__).parent.parent
    digest = sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def hash_of_file(path: Path) -> str:
    """SHA-256 of a file; empty for one that is not there."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
