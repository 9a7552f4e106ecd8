"""Every key of recsys.toml as Markdown, out of the classes of recsys.config: the only place where keys are spelled.

Reads   the source of recsys.config
Writes  docs/configuration.md, by way of standard output

    python -m recsys.config_docs > docs/configuration.md
"""

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.inspect import (
    BoolType,
    DateTimeType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    NoneType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from recsys import config

HEAD: Final = """# recsys.toml

Every key, from the classes in `recsys/config.py` by `python -m recsys.config_docs > docs/configuration.md`. A key
without a default must be given; a key that is not listed here is refused, with its place in the file. `recsys init`
writes a first recsys.toml. In `[interaction_types.NAME]` the NAME is an event type of your logs, in `[columns.TABLE]`
the TABLE is one of items, interactions, impressions, users; in `[surfaces.NAME]` the NAME is one that requests send,
and in `[experiments.NAME]` the one that answers bear.
"""


def explanations() -> dict[str, dict[str, str]]:
    """The text below each field, by class and field: Python throws it away, so it is read from the source."""
    texts: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(config)).body:
        if isinstance(node, ast.ClassDef):
            texts[node.name] = {
                field.target.id: inspect.cleandoc(text.value.value)
                for field, text in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            }
    return texts


def describe(kind: Type) -> str:
    """What may stand for a value of this type, in words."""
    match kind:
        case UnionType(types=types):
            return " or ".join(describe(one) for one in types if not isinstance(one, NoneType))
        case LiteralType(values=values):
            return " or ".join(f'`"{value}"`' for value in values)
        case VarTupleType(item_type=item):
            return f"list of {describe(item)}s"
        case DictType() | StructType():
            return "table"
        case ListType(item_type=item):
            return f"list of {describe(item)}s"
        case IntType():
            return f"whole number{bounds(kind)}"
        case FloatType():
            return f"number{bounds(kind)}"
        case BoolType():
            return "true or false"
        case DateTimeType():
            return "date and time"
    return "text"


def bounds(kind: IntType | FloatType) -> str:
    """Such as " ≥ 0 and ≤ 1", or nothing."""
    limits = ((">", kind.gt), ("≥", kind.ge), ("<", kind.lt), ("≤", kind.le))
    found = " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)
    return f" {found}" if found else ""


def show_default(field: Field) -> str:
    """The default as TOML spells it, or nothing where the key must be given."""
    if field.required:
        return ""
    value: Any = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return "not set" if value is None else f"`{json.dumps(value)}`"


def sections(name: str, kind: Type) -> Iterator[tuple[str, StructType]]:
    """The sections at and below a key, each with its heading; a key of another type is no section."""
    match kind:
        case StructType(fields=fields):
            yield name, kind
            for below in fields:
                yield from sections(f"{name}.{below.encode_name}", below.type)
        case DictType(value_type=value):
            yield from sections(f"{name}.NAME", value)
        case ListType(item_type=item):
            yield from sections(f"[{name}]", item)
        case UnionType(types=types):
            for one in types:
                yield from sections(name, one)


def write_table(fields: list[Field], texts: dict[str, str]) -> str:
    """The keys of one section."""
    lines = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for field in fields:
        cells = (f"`{field.encode_name}`", describe(field.type), show_default(field), texts.get(field.name, ""))
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def render() -> str:
    """The whole of docs/configuration.md."""
    whole = type_info(config.Config)
    assert isinstance(whole, StructType)
    texts = explanations()
    found = [section for field in whole.fields for section in sections(field.encode_name, field.type)]
    plain = [field for field in whole.fields if not any(sections(field.encode_name, field.type))]
    parts = [HEAD, "## At the top\n", write_table(plain, texts["Config"])]
    for heading, kind in found:
        parts += [f"## [{heading}]\n", f"{inspect.getdoc(kind.cls)}\n"]
        parts += [write_table(list(kind.fields), texts[kind.cls.__name__])]
    return "\n".join(parts)


if __name__ == "__main__":
    print(render(), end="")
