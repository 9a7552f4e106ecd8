"""Fill the online store from the offline store, by Feast, and have whoever serves read that (features.online).

Writes  features/online/FILLING.json   what a filling is, before it is made
        features/online/FILLING.npz    item neighbours of its moment
        features/online/FILLING.db     its rows, unless they are in Redis
        features/feature_store.yaml    the filling that serves, for the `feast` command
        features/online_as_of          the filling that serves; it changes last
"""

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from features.feast_plugins.packed_online_store import OnlineStoreUnavailableError
from features.feast_project import apply, feature_store_yaml, open_project
from features.online import Filling, OnlineFeatures
from features.packed.layout import RowLayout
from recsys.durable import exclusively


def fill(
    online: OnlineFeatures, as_of: datetime, neighbours: Path, objects: Sequence[Any], layouts: Mapping[str, RowLayout]
) -> None:
    """Fill anew with the rows of `as_of`, and serve that.

    neighbours  the file to keep with them
    objects     what is applied to Feast's registry
    layouts     of the rows of each view

    Raises FeatureStoreError when the store does not answer; what served before goes on.
    """
    name = f"{as_of:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    ids = {view: layout.id for view, layout in layouts.items()}
    filling = Filling(name, as_of, online.place.name, datetime.now(UTC), ids)
    online.fillings.mkdir(exist_ok=True)
    with exclusively(online.folder / "online.lock"):
        shutil.copyfile(neighbours, online.file(name, "npz"))
        _write(online.file(name, "json"), msgspec.json.encode(filling))
        feast = open_project(online.folder, online.place.fill_section(name))
        try:
            # materialize prints its progress as coloured text on stdout.
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                apply(feast, objects)
                feast.materialize(start_date=as_of, end_date=as_of)
        except OnlineStoreUnavailableError as error:
            raise online.unavailable(error) from error
        finally:
            feast._get_provider().online_store.disconnect()  # type: ignore[attr-defined]  # our plugins'
        described = feature_store_yaml(online.folder, online.place.public_section(name), comment=online.place.hint)
        _write(online.folder / "feature_store.yaml", described.encode())
        _write(online.pointer, msgspec.json.encode(filling))
        online.close()
        online.remove_all_but(name)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    partial.replace(path)
