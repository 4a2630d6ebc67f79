"""The only place that reads Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html, "Interpreting an event stream".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

LINE = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""Ends of lines; a carriage return at the very end may be half of one."""


@dataclass
class Parser:
    """Takes bytes as they come and gives events as they are complete.

    Attributes:
        last_id: The id of the event that was given last, or of the last before it that had one.
    """

    last_id: str = ""
    _id: str = ""
    _pieces: list[bytes] = field(default_factory=list)
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, received: bytes) -> Iterator[tuple[str, str]]:
        """Take bytes.

        Args:
            received: What has come.

        Yields:
            The name and the data of each event that is complete now.
        """
        self._pieces.append(received)
        if b"\n" not in received and b"\r" not in received:
            return
        *lines, rest = LINE.split(b"".join(self._pieces))
        self._pieces = [rest]
        for line in lines:
            if line:
                self._field(line.decode(errors="replace"))
                continue
            self.last_id = self._id
            if self._data:
                yield self._name or "message", "\n".join(self._data)
            self._name, self._data = "", []

    def _field(self, line: str) -> None:
        name, _, value = line.removeprefix("\ufeff").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
