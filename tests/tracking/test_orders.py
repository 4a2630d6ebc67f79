"""What somebody wants to have run: a wrong body is read once, however large it is."""

from __future__ import annotations

import pytest

from kernel_status_ext.api import orders
from kernel_status_ext.api.orders import LOOKED_THROUGH, read_wanted

LARGE = b"a" * LOOKED_THROUGH


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"code": 1, "more": "' + LARGE + b'"}', "`$.code`"),
        (b'{"code": "' + LARGE, "truncated"),
        (b'{"code": "' + LARGE + b'\\ud800"}', "half of a surrogate pair"),
        (b"[" + LARGE, "`array`"),
    ],
)
def test_a_wrong_body_is_read_once(monkeypatch: pytest.MonkeyPatch, body: bytes, said: str) -> None:
    """What is wrong is said by who read it, not found out by reading it again."""

    def again(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(orders.json, "loads", again)
    with pytest.raises(ValueError, match="must be a JSON object") as told:
        read_wanted(body)
    assert said in str(told.value)


@pytest.mark.parametrize("field", ["code", "metadata"])
def test_a_small_one_is_read_again_to_name_the_field(field: str) -> None:
    """Half of a surrogate pair can be written down in JSON, and is no text."""
    value = b'"\\ud800"' if field == "code" else b'{"a": ["\\ud800"]}'
    body = b'{"code": "x", "' + field.encode() + b'": ' + value + b"}"
    with pytest.raises(ValueError, match=rf"half of a surrogate pair .*\$\.{field}"):
        read_wanted(body)
