"""What the text model reads of an item: its columns filled into a template, in training and in serving alike.

reader = ItemText(config.text.template, config.text.column_tokens, tokenizer)
reader.of_table(catalogue.table)
"""

import re
import unicodedata
from collections.abc import Mapping
from string import Formatter
from typing import Any, Final, Self

import polars as pl
from tokenizers import Tokenizer

from recsys.config import Text
from recsys.errors import ConfigError, DataError

SEPARATORS: Final = " .,;:|/–-"


class ItemText:
    """A template such as "{title}. {category}", read once."""

    def __init__(self, template: str, column_tokens: Mapping[str, int], tokenizer: Tokenizer) -> None:
        """`tokenizer` measures column_tokens. Raises ConfigError for a template that names no column."""
        self._parts = _parse(template)
        self.columns: Final = tuple(dict.fromkeys(column for _, column in self._parts))
        if unknown := sorted(column_tokens.keys() - set(self.columns)):
            raise ConfigError(
                f"text.column_tokens: limits {unknown}, the template reads {list(self.columns)}; correct one of them"
            )
        self._limits = dict(column_tokens)
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def configured(cls, text: Text, tokenizer: Tokenizer) -> Self:
        """That of recsys.toml."""
        return cls(text.template, text.column_tokens, tokenizer)

    def of_table(self, items: pl.DataFrame) -> list[str]:
        """The text of each row. Raises DataError when the items have no such column."""
        if missing := [name for name in self.columns if name not in items.columns]:
            raise DataError(
                f"items: found the columns {items.columns}, expected {missing}; correct template under [text]"
            )
        columns = {
            name: self._column(name, items[name].cast(pl.String).fill_null("").to_list()) for name in self.columns
        }
        return [self._fill({name: columns[name][row] for name in self.columns}) for row in range(len(items))]

    def of_item(self, values: Mapping[str, Any]) -> str:
        """The text of one item; a column that is absent or None is blank."""
        known = {name: values.get(name) for name in self.columns}
        return self._fill(
            {name: self._column(name, ["" if value is None else str(value)])[0] for name, value in known.items()}
        )

    def _column(self, name: str, values: list[str]) -> list[str]:
        values = [normalised(value) for value in values]
        limit = self._limits.get(name)
        if limit is None:
            return values
        cut = []
        for value, encoding in zip(values, self._tokenizer.encode_batch(values, add_special_tokens=False), strict=True):
            offsets = encoding.offsets
            cut.append(value if len(offsets) <= limit else value[: offsets[limit - 1][1]].rstrip())
        return cut

    def _fill(self, values: Mapping[str, str]) -> str:
        text = ""
        for before, column in self._parts:
            if values[column]:
                text += (before if text else before.lstrip(SEPARATORS)) + values[column]
        return text


def normalised(text: str) -> str:
    """Unicode NFKC, control characters as spaces, single spaces."""
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def _parse(template: str) -> list[tuple[str, str]]:
    """Each column with what stands before it."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(
            f"text.template: {template!r}: {error}; expected such as '{{title}}. {{category}}'"
        ) from error
    parts = [(before, column) for before, column, _, _ in parsed if column]
    if not parts:
        raise ConfigError(f"text.template: {template!r} names no column; expected such as '{{title}}. {{category}}'")
    return parts
