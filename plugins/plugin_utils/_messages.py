# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Problems and their texts. Code passes and compares a ``Problem``; ``str`` makes its sentences at the end. Pure Python without Ansible.

The enums of the files ``_messages_*.py`` hold all texts.
"""

from __future__ import annotations

import dataclasses
import enum


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a problem is. Fields that do not apply are empty."""

    link: str = ""
    host: str = ""
    #: a key of the link
    key: str = ""
    #: a variable of the inventory
    variable: str = ""

    def __str__(self) -> str:
        """Return the place as the start of a message, such as ``Link db, key port``."""
        names = {"link": self.link, "host": self.host, "key": self.key, "variable": self.variable}
        place = ", ".join(f"{kind} {name}" for kind, name in names.items() if name)
        return place[:1].upper() + place[1:]


NOWHERE = Place()


class Message(enum.Enum):
    """Base of the enums of messages. The name of a member is the code of a message.

    The value of a member is its cause and its remedy: what is wrong, and what to do. Both are templates of ``str.format``.
    """

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = cause
        self.remedy = remedy

    def at(self, place: Place = NOWHERE, **values: str | int) -> Problem:
        """Return the problem with this message.

        :param place: where the problem is
        :param values: the values of the fields of the templates, by name
        """
        return Problem(self, place, tuple(values.items()))


class Fragment(Message):
    """Base of the enums whose texts are parts of the sentences of other messages."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A problem that a person has to solve, or know of. ``str`` returns its sentences."""

    message: Message
    place: Place = NOWHERE
    #: name and value of each field of the templates
    values: tuple[tuple[str, str | int], ...] = ()

    def __str__(self) -> str:
        """Return the sentences: the place, what is wrong, and what to do."""
        text = f"{self.message.cause} {self.message.remedy}".strip().format_map(dict(self.values))
        return f"{self.place}: {text}" if self.place != NOWHERE else text
