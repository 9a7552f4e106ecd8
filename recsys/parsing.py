"""Read the values of one column as the type that the schema wants. What cannot be read becomes null, never an error.

Each function takes the column as a source gave it, text or already typed, and returns one of the same length. Blank
text and NaN are null before anything else (`missing_to_null`), so null after reading and not before means unreadable.
"""

import msgspec
import polars as pl

from recsys.schema import UTC_MICROSECONDS

ZONE = r"(?:[Zz]| ?(?:UTC|GMT)|[+-]\d{2}(?::?\d{2})?)$"
# The usual form comes first: a format is tried on what the ones before it could not read.
TIME_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y%m%d", "%Y%m%dT%H%M%S%.f")
# The digits of a number tell its unit: seconds reach the year 5138 below this, milliseconds likewise, and so on.
SECONDS_BELOW, MILLISECONDS_BELOW, MICROSECONDS_BELOW = 1e11, 1e14, 1e17


def missing_to_null(column: pl.Series) -> pl.Series:
    """Blank text and NaN become null, and categories the text that they stand for."""
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        return column.to_frame().select(pl.when(pl.first().str.contains(r"\S")).then(pl.first())).to_series()
    if column.dtype.is_float():
        return column.fill_nan(None)
    return column


def read(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The column as one of the types of the schema."""
    if dtype == pl.String:
        return read_text(column)
    if dtype == UTC_MICROSECONDS:
        return read_time(column)
    if dtype == pl.Float64:
        return read_number(column)
    assert isinstance(dtype, pl.List), dtype
    return read_list(column, pl.List(dtype.inner))


def read_text(column: pl.Series) -> pl.Series:
    """Text and ids. 17850.0 out of a float column is the id 17850: a column of integers that once had gaps."""
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        return whole.cast(pl.String).zip_with(whole == column, column.cast(pl.String))
    if column.dtype == pl.Binary:
        return pl.Series(column.name, [_utf8(value) for value in column], pl.String)
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return pl.Series(column.name, [None] * len(column), pl.String)
    return column.cast(pl.String)


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def read_number(column: pl.Series) -> pl.Series:
    """A finite number."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        return pl.Series(column.name, [None] * len(column), pl.Float64)
    number = column.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite(), None)


YEARS = (1, 9999)
"""Of moments that every reader knows."""


def read_time(column: pl.Series) -> pl.Series:
    """ISO 8601 with or without a zone, a date, or the seconds, milliseconds or microseconds since 1970; else UTC."""
    if column.dtype.is_temporal() and column.dtype not in (pl.Time, pl.Duration):
        moment = column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
        zone = getattr(moment.dtype, "time_zone", None)
        return moment.dt.replace_time_zone("UTC") if zone is None else moment.dt.convert_time_zone("UTC")
    if column.dtype.is_numeric():
        return _read_epoch(column)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), UTC_MICROSECONDS)
    text = column.str.strip_chars()
    # Eight digits are a date of ISO 8601; as seconds they would lie in 1970.
    is_number = text.str.contains(r"^\d+(\.\d+)?$") & ~text.str.contains(r"^(19|20)\d{6}$")
    moment = _read_iso(text.set(is_number, None))
    if is_number.any():
        whole = text.str.contains(".", literal=True).any()
        digits = text.set(~is_number, None).cast(pl.Float64 if whole else pl.Int64, strict=False)
        moment = moment.zip_with(~is_number.fill_null(False), _read_epoch(digits))
    return moment


def _read_iso(text: pl.Series) -> pl.Series:
    moment = pl.Series(text.name, [None] * len(text), UTC_MICROSECONDS)
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[ t]\s*", "${1}T")
    # A zone follows a time of day: the -02 of a date is none.
    zoned = text.str.contains(r"T.*" + ZONE)
    for has_zone in (False, True):
        part = text.set(zoned.fill_null(True) != has_zone, None)
        if has_zone:
            part = part.str.replace(r"\s*([Zz]|UTC|GMT)$", "+00:00").str.replace(r"\s*([+-]\d{2})$", "${1}:00")
            part = part.str.replace(r"\s*([+-]\d{2}):?(\d{2})$", "${1}:${2}")
        for form in TIME_FORMATS:
            if part.null_count() == len(part):
                break
            form = form + "%:z" if has_zone else form
            found = part.str.strptime(pl.Datetime("us", "UTC" if has_zone else None), form, strict=False)
            found = found if has_zone else found.dt.replace_time_zone("UTC")
            moment = moment.zip_with(moment.is_not_null(), found)
            part = part.set(found.is_not_null(), None)
    # A zone may put the last evening of 9999 behind it, where no calendar goes.
    return moment.set((~moment.dt.year().is_between(*YEARS)).fill_null(False), None)


def _read_epoch(number: pl.Series) -> pl.Series:
    unit = (
        pl.when(pl.first() < 0)
        .then(None)
        .when(pl.first() < SECONDS_BELOW)
        .then(1_000_000)
        .when(pl.first() < MILLISECONDS_BELOW)
        .then(1_000)
        .when(pl.first() < MICROSECONDS_BELOW)
        .then(1)
    )
    number = number if number.dtype.is_float() else number.cast(pl.Int64, strict=False)
    microseconds = (pl.first() * unit).round().cast(pl.Int64, strict=False)
    return number.to_frame().select(microseconds.cast(UTC_MICROSECONDS)).to_series()


def read_list(column: pl.Series, dtype: pl.List) -> pl.Series:
    """A list; out of text it is a JSON list or the elements with | between them."""
    if isinstance(column.dtype, pl.List | pl.Array):
        return column.cast(dtype, strict=False)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype)
    lists = column.str.split("|")
    is_json = column.str.contains(r"^\s*\[").fill_null(False)
    if is_json.any():
        parsed = [_json_list(text) for text in column.set(~is_json, None)]
        lists = pl.Series(column.name, parsed, pl.List(pl.String)).zip_with(is_json, lists)
    return lists.cast(dtype, strict=False)


def _json_list(text: str | None) -> list[str] | None:
    if text is None:
        return None
    try:
        return [str(value) for value in msgspec.json.decode(text, type=list[str | int | float])]
    except msgspec.DecodeError:
        return None


def read_attribute(column: pl.Series) -> pl.Series:
    """A column that the engine only hands on: a list or an object as JSON text, everything else as it is."""
    if column.dtype.is_nested():
        values = column.to_list()
        return pl.Series(
            column.name, [None if value is None else msgspec.json.encode(value).decode() for value in values]
        )
    if isinstance(column.dtype, pl.Decimal):
        return column.cast(pl.Float64)
    return missing_to_null(column)
