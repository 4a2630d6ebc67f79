"""What the documents promise of the code: routes, words, traits, boundaries."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_status_ext.api.routes import Parts, routes
from kernel_status_ext.app import KernelStatusApp
from kernel_status_ext.core.words import Cause, ExecutionState, State, Status

ROOT = Path(__file__).parents[2]
PRODUCT = sorted((ROOT / "kernel_status_ext").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in PRODUCT]

MAY_START_TASKS = {
    "kernel_status_ext/tracking/tasks.py": "the only place",
    "kernel_status_ext/api/kernels.py": "awaited in the next line, so that it cannot vanish",
}


def page(name: str) -> str:
    """Read a page of the documentation."""
    return (ROOT / "docs" / name).read_text()


def calls(path: Path) -> Iterator[str]:
    """Name every function that a module calls, as it is written there."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_every_route_is_documented() -> None:
    """A call that the page does not tell of is one that nobody can rely on."""
    told = page("reference/rest.md")
    for pattern, *_ in routes(Parts(1, watchers=None, inspector=None, records=None)):
        shape = re.sub(r"\(\?P<kernel_id>[^)]*\)", "ID", pattern).replace(r"\.", ".")
        shape = re.sub(r"\(\?P<run_id>[^)]*\)", "RUN", shape)
        shapes = [shape]
        if "(?P<action>" in shape:
            shapes = [
                re.sub(r"\(\?P<action>[^)]*\)", word, shape) for word in ("restart", "interrupt")
            ]
        for each in shapes:
            assert each in told or each.rsplit("/", 1)[1] in told, each


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_documented(status: Status) -> None:
    """Every status has its row in the lifecycle."""
    assert f"| `{status}` |" in page("reference/lifecycle.md")


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_is_documented(cause: Cause) -> None:
    """Every cause has its row, or is said to be reserved."""
    assert f"`{cause}`" in page("reference/reasons.md")


@pytest.mark.parametrize("word", [*ExecutionState, *State])
def test_every_other_word_is_a_plain_string(word: ExecutionState | State) -> None:
    """What travels is the word, whatever it is formatted with."""
    assert f"{word}" == str(word) == word.value


def test_every_trait_is_documented_with_its_default() -> None:
    """The table of the configuration names each trait and its default."""
    told = page("reference/configuration.md")
    readme = (ROOT / "README.md").read_text()
    for name, trait in KernelStatusApp.class_own_traits(config=True).items():
        default = trait.default()
        shown = str(int(default)) if isinstance(default, float) else str(default)
        row = next(line for line in told.splitlines() if line.startswith(f"| `{name}` |"))
        assert shown in row.split("|")[2]
        assert f"`{name}`" in readme


@pytest.mark.parametrize("path", PRODUCT, ids=NAMES)
def test_no_module_sleeps_or_lets_a_task_vanish(path: Path) -> None:
    """Waiting is for states, and tasks are kept by the one place that reports their failure."""
    made = set(calls(path))
    assert not {name for name in made if name.endswith("sleep")}
    starters = {name for name in made if name.endswith(("create_task", "ensure_future"))}
    assert not starters or str(path.relative_to(ROOT)) in MAY_START_TASKS


@pytest.mark.parametrize("path", PRODUCT, ids=NAMES)
def test_only_named_boundaries_catch_everything(path: Path) -> None:
    """A broad except stands only in a file that docs/contributing.md lists."""
    handlers = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
    ]
    broad = [
        each for each in handlers if each.type is None or ast.unparse(each.type) == "Exception"
    ]
    listed = f"`{path.relative_to(ROOT / 'kernel_status_ext')}`" in page("contributing.md")
    assert not broad or listed


@pytest.mark.parametrize("path", PRODUCT, ids=NAMES)
def test_nothing_of_ours_waits_for_ready(path: Path) -> None:
    """`ready` means that a process was launched, and nothing of ours takes it for more."""
    attributes = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    ]
    owners = {ast.unparse(each.value) for each in attributes if each.attr == "ready"}
    assert not {owner for owner in owners if "manager" in owner or "km" in owner}
