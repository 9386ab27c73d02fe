# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tables for people."""

from __future__ import annotations

# a longer cell would make each line of the table as long
MAX_CELL_CHARACTERS = 100


def printable(text):
    """Return a text without characters that change the terminal or end the line: a host may answer them.

    :param str text: the text
    :rtype: str
    """
    return "".join(character if character.isprintable() else "?" for character in text)


def aligned(rows):
    """Return rows as lines, their columns aligned. Long cells are cut.

    :param rows: a sequence of cells each, all of the same length
    :rtype: list[str]
    """
    words = [tuple(printable(_cut(str(cell))) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in words]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARACTERS else f"{text[: MAX_CELL_CHARACTERS - 3]}..."
