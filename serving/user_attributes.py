"""How attributes of users become numbers for a bundle: the names that its ranker was trained with have theirs in it."""

from collections.abc import Mapping

import msgspec

from recsys.attributes import AttributeKind, Attributes
from recsys.bundle import Bundle
from recsys.bundle_files import USER_ATTRIBUTES_FILE
from recsys.errors import BundleError


def user_attributes_of(bundle: Bundle, kinds: Mapping[str, AttributeKind]) -> Attributes | None:
    """Those of a bundle; None when recsys.toml names none. Raises BundleError when it names others."""
    path = bundle.path / USER_ATTRIBUTES_FILE
    found = msgspec.json.decode(path.read_bytes(), type=Attributes) if path.exists() else None
    trained: Mapping[str, AttributeKind] = {} if found is None else found.kinds
    if trained != kinds:
        raise BundleError(
            f"{path}: trained with user_attributes {dict(trained)}, recsys.toml has {dict(kinds)}; "
            "train again, or promote a bundle of these"
        )
    return found
