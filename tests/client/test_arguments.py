"""What the command line does without any server: words, help, how it writes for people."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from kernel_status_ext.client.cli import main
from kernel_status_ext.client.harmless import harmless, instant, size
from kernel_status_ext.client.tables import short


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["wait", "k", "--state", "busy"], "allowed are running, idle, stopped"),
        (["wait", "k", "--status", "dead,nice"], "'nice' is none; allowed are unknown, starting"),
        (["wait", "k", "--timeout", "-1"], "allowed are seconds, 0 or more"),
        (["wait", "k", "--timeout", "nan"], "allowed are seconds, 0 or more"),
        (["wait", "k", "--since", "x"], "allowed is a whole number"),
        (["stroke", "k"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_words_that_are_none(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 before any server is asked, and what is allowed."""
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["list", "show", "wait", "watch", "history", "inspect", "demo"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command shows how it is called and what its exit statuses mean."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    out = capsys.readouterr().out
    assert f"jupyter kernel-status {command}" in out.partition("examples:")[2]
    assert "4 the time is over" in out


def test_other_programs_have_httpx_as_it_is() -> None:
    """What our command line leaves out, a program that uses the library can still load."""
    code = "import sys, kernel_status_ext.client as c; c.KernelStatusClient('http://h/')"
    code += "; print('httpx._main' in sys.modules)"
    alone = "import httpx, sys; print('httpx._main' in sys.modules)"
    ours, its = (
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True)
        for each in (code, alone)
    )
    assert ours.stdout == its.stdout


def test_small_things() -> None:
    """Text that is harmless, sizes for people, ids that stay different."""
    assert harmless("tab\there\x9b\u2028") == r"tab\there\x9b\u2028"
    assert harmless("Grüße 漢字") == "Grüße 漢字"
    assert [size(each) for each in (None, 0, 1023, 1024, 5 << 50)] == [
        "",
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5120.0 TiB",
    ]
    assert short(["aaaaaaaaaa", "aaaaaaaaab"])["aaaaaaaaab"] == "aaaaaaaaab"
    now = datetime.now(timezone.utc)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", instant(now, now))
    day = re.escape(f"{(now - timedelta(3)).astimezone():%Y-%m-%d}")
    assert re.fullmatch(day + r" \d\d:\d\d:\d\d\.\d{3}", instant(now - timedelta(3), now))
