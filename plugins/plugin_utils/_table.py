# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable

# a longer cell would make each line of the table as long
MAX_CELL_CHARACTERS = 100


def make_printable(text: str) -> str:
    """Return a text without characters that change the terminal or end the line: the answer of a host can contain them."""
    return "".join(character if character.isprintable() else "?" for character in text)


def align_rows(rows: Iterable[Iterable[object]]) -> list[str]:
    """Return rows as lines with aligned columns. Long cells are cut. All rows have the same number of cells."""
    words = [tuple(make_printable(_cut(str(cell))) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in words]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARACTERS else f"{text[: MAX_CELL_CHARACTERS - 3]}..."
