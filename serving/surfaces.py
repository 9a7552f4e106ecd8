"""The section [surfaces] of recsys.toml, as a server reads it again and again.

Reads   recsys.toml, and the exclude_file of each surface
"""

from pathlib import Path

import msgspec

from recsys.config import Surface, load_config
from recsys.errors import ConfigError
from serving.rules import Surfaces

FileState = tuple[int, int, int] | None


class SurfacesFile:
    """For one thread."""

    def __init__(self, config_path: Path) -> None:
        """`config_path`: recsys.toml."""
        self._config_path = config_path
        self._states: dict[Path, FileState] = {}
        """Of the files that were read last."""

    def has_changed(self) -> bool:
        """Whether one of the files is another one than when it was read."""
        return not self._states or any(file_state(path) != state for path, state in self._states.items())

    def read(self) -> Surfaces:
        """The surfaces by name, with the items of exclude_file among those of exclude.

        Raises ConfigError; until one of the files changes has_changed is false all the same.
        """
        # First: what is written meanwhile is a change.
        self._states = {self._config_path: file_state(self._config_path)}
        surfaces = load_config(self._config_path).surfaces
        return {name: self._with_file(name, surface) for name, surface in surfaces.items()}

    def _with_file(self, name: str, surface: Surface) -> Surface:
        if surface.exclude_file is None:
            return surface
        path = self._config_path.resolve().parent / surface.exclude_file
        self._states[path] = file_state(path)
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self._config_path}: [surfaces.{name}] exclude_file: {path}: {error}; expected a text file in UTF-8 "
                "with an item_id a line"
            ) from error
        further = [line.strip() for line in lines if line.strip()]
        return msgspec.structs.replace(surface, exclude=[*surface.exclude, *further])


def file_state(path: Path) -> FileState:
    """What tells a file from what it was before; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
