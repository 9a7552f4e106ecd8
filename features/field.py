"""A column of the feature store, and the types that it may have."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["Float32", "Float64", "String", "Array(String)", "Array(Float64)"]
"""As Feast writes its types."""

FLOAT32: Final = "Float32"
FLOAT64: Final = "Float64"
STRING: Final = "String"
STRINGS: Final = "Array(String)"
FLOATS: Final = "Array(Float64)"


@dataclass(frozen=True)
class Field:
    name: str
    kind: Kind
    description: str
