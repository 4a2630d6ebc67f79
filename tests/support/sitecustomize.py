"""Python loads it by itself in servers under test: they do without what takes a second to load.

jsonschema's `_format` does without this module where it is missing; it checks the syntax of URIs,
which no test here is about, and building its grammar is half of what a server's start takes.
"""

import sys

sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # Python then says it is missing
