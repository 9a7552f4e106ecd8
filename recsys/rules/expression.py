"""Conditions over the columns of the items, such as  price < 50 and category != 'gift' and not is_null(brand).

Comparisons and arithmetic are written as in Python, and nothing is ever run as Python: the text is parsed, and each
kind of node that is listed here becomes a Polars expression over one row. What an item does not say meets no comparison
but != and `not in`; so every condition is true or false of every item, and `not` is the opposite.

    condition("price < 50 and brand in ['a', 'b']", types_of(items))
"""

import ast
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import polars as pl

from recsys.schema import UTC_MICROSECONDS

Kind = Literal["number", "text", "time", "true or false", "any"]

MAX_CHARACTERS: Final = 2000
MAX_DEPTH: Final = 50
"""Of nodes within nodes: Polars ends the process on some hundreds."""
FUNCTIONS: Final = ("is_null(column)", "contains(column, 'text')", "starts_with(column, 'text')", "col('any name')")
EXPECTED: Final = (
    "expected columns, numbers, 'text' and lists with == != < <= > >= in, and, or, not, + - * /, parentheses, "
    + ", ".join(FUNCTIONS)
)
_ORDER: Final[dict[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SPELLED: Final = {"true": True, "false": False}


class ExpressionError(ValueError):
    """A condition that cannot be read, or that does not fit the columns; the message shows where in it."""


class _Value(NamedTuple):
    expr: pl.Expr
    kind: Kind
    text: str | None = None
    """Of a constant text, which may stand for a time."""


def condition(text: str, columns: Mapping[str, pl.DataType] | None = None) -> pl.Expr:
    """Boolean, never null, of each item by itself.

    columns  those of the items with their types, as recsys.rules.columns has them; None: any, of whatever type

    Raises ExpressionError.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"a condition of {len(text)} characters; expected at most {MAX_CHARACTERS}")
    line = " ".join(text.splitlines()).strip()
    try:
        found = _Reader(line, columns).truth(ast.parse(line, mode="eval").body)
        is_constant = not found.meta.root_names()
    except SyntaxError as error:
        raise ExpressionError(f"{line!r}, character {error.offset or len(line) + 1}: {error.msg}; {EXPECTED}") from None
    except (RecursionError, MemoryError, OverflowError):
        raise ExpressionError(f"{line!r}: nested too deep, or a number too large; {EXPECTED}") from None
    if is_constant:
        raise ExpressionError(f"{line!r}: the same of every item; expected at least one column")
    return found


class _Reader:
    """Nodes as expressions."""

    def __init__(self, text: str, columns: Mapping[str, pl.DataType] | None) -> None:
        self._text, self._columns, self._depth = text, columns, 0

    def truth(self, node: ast.expr) -> pl.Expr:
        """A node that is true or false."""
        found = self._value(node)
        self._check(node, found, "true or false")
        return found.expr.fill_null(False)

    def _value(self, node: ast.expr) -> _Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(node, f"nested more than {MAX_DEPTH} deep; expected a simpler condition")
        found = self._read(node)
        self._depth -= 1
        return found

    def _read(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=bool(value)):
                return _Value(pl.lit(value), "true or false")
            case ast.Constant(value=int(value) | float(value)):
                return _Value(pl.lit(float(value)), "number")
            case ast.Constant(value=str(value)):
                return _Value(pl.lit(value), "text", value)
            case ast.Name(id=name):
                return self._column(node, name)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _Value(~self.truth(operand), "true or false")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _Value(-self._of_kind(operand, "number").expr, "number")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                sides = self._of_kind(left, "number").expr, self._of_kind(right, "number").expr
                return _Value(_ARITHMETIC[type(op)](*sides), "number")
            case ast.BoolOp(op=op, values=values):
                combine = pl.all_horizontal if isinstance(op, ast.And) else pl.any_horizontal
                return _Value(combine(*map(self.truth, values)), "true or false")
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others], ops, others, strict=False)
                return _Value(pl.all_horizontal(*(self._compared(*pair) for pair in pairs)), "true or false")
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._called(node, name, arguments)
        raise self._error(node, f"this is not understood; {EXPECTED}")

    def _called(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> _Value:
        match name, arguments:
            case "is_null", [column]:
                return _Value(self._value(column).expr.is_null(), "true or false")
            case "contains" | "starts_with", [column, ast.Constant(value=str(part))]:
                text = self._of_kind(column, "text").expr.str
                found = text.contains(part, literal=True) if name == "contains" else text.starts_with(part)
                return _Value(found.fill_null(False), "true or false")
            case "col", [ast.Constant(value=str(column_name))]:
                return self._column(node, column_name)
        raise self._error(node, f"no such function; expected one of {', '.join(FUNCTIONS)}")

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        value = self._value(left)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
                raise self._error(right, "expected a list behind `in`, such as ['a', 'b']")
            each = [self._same_kind(left, value, other) for other in right.elts]
            found = pl.any_horizontal(a.eq(b).fill_null(False) for a, b in each)
            return ~found if isinstance(op, ast.NotIn) else found
        if type(op) not in _ORDER:
            raise self._error(right, f"this comparison is not understood; {EXPECTED}")
        a, b = self._same_kind(left, value, right)
        return _ORDER[type(op)](a, b).fill_null(isinstance(op, ast.NotEq))

    def _same_kind(self, node: ast.expr, value: _Value, other: ast.expr) -> tuple[pl.Expr, pl.Expr]:
        """Both sides; a text beside a time is one."""
        against = self._value(other)
        if value.kind == "time" and against.text is not None:
            return value.expr, self._time(other, against.text)
        if against.kind == "time" and value.text is not None:
            return self._time(node, value.text), against.expr
        self._check(other, against, value.kind)
        return value.expr, against.expr

    def _of_kind(self, node: ast.expr, kind: Kind) -> _Value:
        found = self._value(node)
        self._check(node, found, kind)
        return found

    def _check(self, node: ast.expr, found: _Value, expected: Kind) -> None:
        if "any" not in (found.kind, expected) and found.kind != expected:
            raise self._error(node, f"found {_a(found.kind)}, expected {_a(expected)}")

    def _column(self, node: ast.expr, name: str) -> _Value:
        if self._columns is not None and name in self._columns:
            return _Value(pl.col(name), _kind(self._columns[name]))
        if name in _SPELLED:
            return _Value(pl.lit(_SPELLED[name]), "true or false")
        if self._columns is None:
            return _Value(pl.col(name), "any")
        raise self._error(node, f"the items have no column {name!r}; they have {sorted(self._columns)}")

    def _time(self, node: ast.expr, text: str) -> pl.Expr:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._error(node, "expected a time such as '2024-05-01' or '2024-05-01T12:00:00+02:00'") from None
        return pl.lit(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).cast(UTC_MICROSECONDS)

    def _error(self, node: ast.expr, message: str) -> ExpressionError:
        # The parser counts bytes.
        at = len(self._text.encode()[: node.col_offset].decode()) + 1
        part = ast.get_source_segment(self._text, node)
        return ExpressionError(f"{self._text!r}, character {at}, {part}: {message}")


def _kind(dtype: pl.DataType) -> Kind:
    if dtype == pl.Float64:
        return "number"
    if dtype == UTC_MICROSECONDS:
        return "time"
    return "true or false" if dtype == pl.Boolean else "text"


def _a(kind: Kind) -> str:
    return kind if kind in ("text", "true or false") else f"a {kind}"
