"""Which servers the command line asks: none, several, deaf ones, with a token or without."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import run, start, stop
from support.server import Server

from kernel_status_ext.client import roster
from kernel_status_ext.client.roster import everything
from kernel_status_ext.client.running import Running


def url_of(server: Server) -> str:
    """The address of a server, with its base_url."""
    return f"http://127.0.0.1:{server.port}{server.base_url}"


def test_no_server(server: Server, tmp_path: Path) -> None:
    """Exit status 3 and what to do; the same for one that does not answer, or 2 for no address."""
    code, out, err = run(server, "list", JUPYTER_RUNTIME_DIR=str(tmp_path))
    assert (code, out) == (3, "")
    assert "jupyter lab" in err
    assert run(server, "list", "--url", "http://127.0.0.1:1/")[0] == 3
    assert run(server, "list", "--url", "nonsense")[0] == 2


def test_a_wrong_token(server: Server) -> None:
    """Exit status 1, how to give one, and not what was given, wherever it was."""
    url = url_of(server)
    for words, env in (
        (("list", "--url", url, "--token", "not-this"), {}),
        (("wait", "--name", "any", "--url", f"{url}?token=not-this"), {}),
        (("watch", "--json"), {"JUPYTER_SERVER_URL": f"{url}lab?token=not-this"}),
    ):
        code, out, err = run(server, *words, **env)
        assert (code, out) == (1, "")
        assert "--token or JUPYTER_TOKEN" in err
        assert "not-this" not in err


def test_the_token_that_the_server_wrote_down(server: Server) -> None:
    """An address is enough for a server of one's own."""
    assert run(server, "list", "--url", url_of(server))[0] == 0
    assert run(server, "list", JUPYTER_SERVER_URL=url_of(server))[0] == 0


@pytest.fixture
def neighbours(server: Server, tmp_path: Path) -> Iterator[tuple[Server, Server, Path]]:
    """Another server, one without the extension, and a folder where all have written down.

    One that is not there has done so, too.
    """
    with Server(stock=True, wait=False) as stock, Server() as other:
        stock._wait_until_up()
        for each in (server, other, stock):
            for file in each.runtime.glob("jpserver-*.json"):
                (tmp_path / file.name).write_text(file.read_text())
        gone = {"url": "http://127.0.0.1:1/", "pid": os.getpid(), "root_dir": "/", "token": ""}
        (tmp_path / f"jpserver-{os.getpid()}.json").write_text(json.dumps(gone))
        (tmp_path / "jpserver-1.json").write_text('{"half')
        yield other, stock, tmp_path


def test_several_servers(server: Server, neighbours: tuple[Server, Server, Path]) -> None:
    """All are listed, searched and watched; what is wrong with one is said, and spoils nothing."""
    other, stock, folder = neighbours
    here, there = server.connected(server.fake("ours")), other.connected(other.fake("theirs"))
    runtime = {"JUPYTER_RUNTIME_DIR": str(folder)}
    code, out, err = run(server, "list", **runtime)
    assert code == 0
    assert "SERVER" in out.splitlines()[0]
    assert f"127.0.0.1:{other.port}/" in next(each for each in out.splitlines() if there in each)
    assert here in out
    assert "http://127.0.0.1:1/ cannot be reached" in err
    assert f"{url_of(stock)} answers, but not to kernel_status_ext's calls" in err
    assert stock.token not in err
    code, out, _ = run(server, "show", "--name", "theirs", "--json", **runtime)
    assert (code, json.loads(out)["id"]) == (0, there)
    code, out, _ = run(server, "inspect", "--json", **runtime)
    assert json.loads(out)["kernels"].keys() >= {there, here}
    watching = start(server, "watch", "--json", **runtime)
    told = [json.loads(watching.stdout.readline()) for _ in range(2)]
    assert {each["server"] for each in told} == {url_of(server), url_of(other)}
    stop(watching)
    code, out, err = run(stock, "list")
    assert (code, out) == (1, "")
    assert "jupyter server extension enable kernel_status_ext" in err


def test_a_server_that_hangs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given its time and no more, and the kernels of the others are listed."""
    monkeypatch.setattr(roster, "PATIENCE", 0.5)
    kernel_id = server.connected(server.fake())
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        asked = [Running(url, "secret-word"), Running(url_of(server), server.token)]
        listed = everything(asked, said.append)
    assert kernel_id in [each.kernel.id for each in listed]
    (sentence,) = said
    assert f"{url} cannot be reached (it said nothing for too long)" in sentence
    assert "secret-word" not in sentence
