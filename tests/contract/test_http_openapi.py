"""The OpenAPI document: served, valid, complete, and of one mind with words, routes and docs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate
from support.authorizers import HEADER
from support.openapi import DOCUMENT, METHODS, Events, operation, resolved, validator
from support.server import Server

from kernel_status_ext import __version__
from kernel_status_ext.core.words import (
    BESIDE,
    Cause,
    ExecutionState,
    RequestedBy,
    RunStatus,
    State,
    Status,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "openapi.md"
SCHEMAS = DOCUMENT["components"]["schemas"]
WORDS = [Status, ExecutionState, State, Cause, RequestedBy, RunStatus]
OURS = "kernel_status_ext"
OPERATIONS = [
    (path, method, DOCUMENT["paths"][path][method])
    for path, method in itertools.product(DOCUMENT["paths"], METHODS)
    if method in DOCUMENT["paths"][path]
]
NAMES = [f"{method} {path}" for path, method, _ in OPERATIONS]
PAGES = {"/kernel-status"}
"""What we answer that is for people, not for programs."""
OLD = {"kernels", "sessions"}
"""The tags of the calls that Jupyter Server has itself."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that tells its routes, and whose authorizer denies what it is asked to deny."""
    config = {
        "ServerApp": {
            "authorizer_class": "authorizers.DenyByHeader",
            "jpserver_extensions": {"route_extension": True},
        }
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def rules(server: Server) -> list[dict[str, Any]]:
    """Every rule of the running server's router, below its base_url."""
    base = server.base_url.removesuffix("/")
    told = server.get("routes")
    return [
        each | {"pattern": each["pattern"].removeprefix(base)}
        for each in told
        if each["pattern"].startswith(base)
    ]


def templates(pattern: str) -> list[str]:
    """A route's regular expression as paths of the document; a choice of words is several."""
    path = re.sub(r"\(\?P<(\w+)>[^()|]*\)", r"{\1}", pattern.removesuffix("$"))
    choice = re.search(r"\(\?P<\w+>([\w|]+)\)", path)
    paths = [path.replace(choice[0], each) for each in choice[1].split("|")] if choice else [path]
    return [re.sub(r"\\(.)", r"\1", each) for each in paths]


# -- it is served ----------------------------------------------------------------------------


def test_served_with_its_place_and_version(server: Server) -> None:
    """The document names this server's base_url and the version; the rest is as it was written."""
    told = server.get("api/kernels/openapi.json")
    written = json.loads((resources.files("kernel_status_ext.api") / "openapi.json").read_text())
    assert told["servers"][0]["url"] == "/b%40se/x"
    assert told["info"]["version"] == written["info"]["version"] == __version__
    told["servers"][0]["url"] = written["servers"][0]["url"]
    assert told == written


@pytest.mark.parametrize("path", ["api/kernels/{kernel}/status", "api/kernels"])
def test_its_place_and_a_path_make_an_address(
    server: Server, python_kernel: str, path: str
) -> None:
    """A client that appends a path to the server's URL, as OpenAPI says, finds the call."""
    place = server.get("api/kernels/openapi.json")["servers"][0]["url"]
    url = f"http://127.0.0.1:{server.port}{place}/{path.format(kernel=python_kernel)}"
    assert server.http.get(url).status_code == 200


def test_who_may_read_it(server: Server) -> None:
    """It is for those who may read kernels, and being read does not keep a server alive."""
    path = "api/kernels/openapi.json"
    assert httpx.get(f"{server.http.base_url}{path}").status_code == 403
    assert server.http.get(path, headers={HEADER: "read:kernels"}).status_code == 403
    assert server.http.get(path, headers={HEADER: "write:kernels"}).status_code == 200
    before = server.get("api/status")["last_activity"]
    assert server.http.get(path).status_code == 200
    assert server.get("api/status")["last_activity"] == before


# -- it is OpenAPI, and complete -------------------------------------------------------------


def test_valid_openapi() -> None:
    """It is valid OpenAPI 3.1."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "node"), [(path, node) for path, _, node in OPERATIONS], ids=NAMES
)
def test_every_operation_is_described(path: str, node: dict[str, Any]) -> None:
    """Each has an id, a tag, and sentences for itself, its parameters and its answers."""
    assert node["operationId"].isidentifier()
    assert set(node["tags"]) <= {each["name"] for each in DOCUMENT["tags"]}
    assert node["summary"].endswith(".")
    assert node["description"].startswith("Authorized as ")
    parameters = [*DOCUMENT["paths"][path].get("parameters", ()), *node.get("parameters", ())]
    described = [*map(resolved, parameters), *map(resolved, node["responses"].values())]
    assert all(each["description"].endswith(".") for each in described)
    assert "403" in node["responses"]


def test_operation_ids_are_unique() -> None:
    """Generated clients name their methods by them."""
    ids = [node["operationId"] for _, _, node in OPERATIONS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_and_field_is_described(name: str) -> None:
    """Each schema and each of its fields has a sentence of its own."""
    schema = SCHEMAS[name]
    fields = {
        field: each.get("description", "") for field, each in schema.get("properties", {}).items()
    }
    assert schema["description"].endswith(".")
    assert not {field for field, told in fields.items() if not told.rstrip(".")}, name


STRICT = [name for name in SCHEMAS if SCHEMAS[name].get("additionalProperties") is False]
OPTIONAL = {"LivingProcess": {"memory_uss_bytes", "memory_pss_bytes", "io"}}
"""What is only there when it is asked for."""
OPEN = {
    "BasicModel": "other extensions add fields to Jupyter Server's models",
    "KernelModel": "the same",
    "Session": "the same",
    "KernelToStart": "a request",
    "KernelOfSession": "a request",
    "SessionToStart": "a request",
    "SessionChange": "a request",
    "CodeToRun": "a request",
    "Document": "it is described by OpenAPI itself",
}


@pytest.mark.parametrize("name", STRICT)
def test_own_bodies_have_every_field(name: str) -> None:
    """Unknown values are null, never left out: each field that is declared is required."""
    assert set(SCHEMAS[name]["required"]) == set(SCHEMAS[name]["properties"]) - OPTIONAL.get(
        name, set()
    )


def test_own_bodies_are_strict() -> None:
    """What declares fields allows no other, but for those that are not ours to close."""
    assert {name for name in SCHEMAS if "properties" in SCHEMAS[name]} == {*STRICT, *OPEN}


# -- it is of one mind with the code ---------------------------------------------------------


def test_every_route_of_ours_is_documented(rules: list[dict[str, Any]]) -> None:
    """What tornado routes to us is in the document, path and method, and nothing is left over."""
    routed = {
        (path, method)
        for rule in rules
        if rule["module"].startswith(OURS)
        for path in templates(rule["pattern"])
        if path not in PAGES
        for method in rule["methods"]
    }
    replaced = {
        "/api/kernels",
        "/api/kernels/{kernel_id}/restart",
        "/api/kernels/{kernel_id}/interrupt",
    }
    documented = {
        (path, method)
        for path, method, node in OPERATIONS
        if not OLD & set(node["tags"]) or path in replaced
    }
    assert routed == documented


@pytest.mark.parametrize(("path", "method", "node"), OPERATIONS, ids=NAMES)
def test_every_operation_is_routed(
    rules: list[dict[str, Any]], path: str, method: str, node: dict[str, Any]
) -> None:
    """The first rule for a documented path answers that method, and is whose the tag says."""
    asked = re.sub(r"\{\w+\}", "a-b-c-d-e", path)
    rule = next(each for each in rules if re.fullmatch(each["pattern"], asked))
    assert method in rule["methods"]
    assert rule["module"].startswith((OURS, "jupyter_server.services."))
    assert OLD & set(node["tags"]) or rule["module"].startswith(OURS)


@pytest.mark.parametrize("name", ["a-b-c-d-e", "nobody", "%C3%A4", "a-b"])
def test_parameters_match_what_is_routed(rules: list[dict[str, Any]], name: str) -> None:
    """A path belongs to an operation exactly if the router sends it where that operation is."""
    for path in DOCUMENT["paths"]:
        asked = re.sub(r"\{\w+\}", name, path)
        known = operation("get", asked) or operation("post", asked)
        rule = next((each for each in rules if re.fullmatch(each["pattern"], asked)), None)
        is_api = rule is not None and path in templates(rule["pattern"])
        assert (known is not None and known.path == path) == is_api, asked


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_words_are_those_of_the_code(kind: Any) -> None:
    """The lists of words are the same, in the same order."""
    assert SCHEMAS[kind.__name__]["enum"] == [each.value for each in kind]


def test_words_stand_together_as_in_the_code() -> None:
    """Of all combinations of words, exactly those of the contract are valid."""
    judge = validator({"$ref": "#/components/schemas/Words"})
    for status, does, state in itertools.product(Status, ExecutionState, State):
        words = {"status": status.value, "execution_state": does.value, "state": state.value}
        reason = "" if status is Status.STARTING else "Because."
        allowed = state in BESIDE[status].get(does, set())
        assert judge.is_valid(words | {"reason": reason}) == allowed, words


@pytest.mark.parametrize("status", ["dead", "autorestarting", "unresponsive"])
def test_a_reason_where_one_is_due(status: str) -> None:
    """An empty reason is refused where the contract wants one."""
    judge = validator({"$ref": "#/components/schemas/Words"})
    assert judge.is_valid({"status": status, "reason": "Because."})
    assert not judge.is_valid({"status": status, "reason": ""})


def test_the_page_tells_every_call() -> None:
    """The page of the documentation has a row for each path and method."""
    told = PAGE.read_text()
    missing = {
        name
        for name, (_, _, node) in zip(NAMES, OPERATIONS, strict=True)
        if f"| `{node['operationId']}` | `{name.split()[0].upper()} {name.split()[1]}` |"
        not in told
    }
    assert not missing


# -- its examples ----------------------------------------------------------------------------


def media() -> Iterator[Any]:
    """Each body of the document with an example: who, the schema, the example."""
    for path, method, node in OPERATIONS:
        bodies = {code: resolved(each) for code, each in node["responses"].items()}
        for code, body in (bodies | {"request": node.get("requestBody", {})}).items():
            for kind, each in body.get("content", {}).items():
                for name, example in each.get("examples", {}).items():
                    values = (path, method, kind, each["schema"], example["value"])
                    yield pytest.param(*values, id=f"{method} {path} {code} {name}")


@pytest.mark.parametrize(("path", "method", "kind", "schema", "example"), list(media()))
def test_examples_are_valid(path: str, method: str, kind: str, schema: Any, example: Any) -> None:
    """What is shown is what is promised, an example of a stream event by event."""
    validator(schema).validate(example)
    if kind == "text/event-stream":
        known = operation(method, path)
        assert known is not None
        events = Events(known)
        events.go_by(example.encode())
        assert events.rest == b""


def test_every_body_of_ours_has_an_example() -> None:
    """Who reads the document sees each answer of the new calls as it really was."""
    shown = {(each.values[0], each.id.split()[2]) for each in media()}
    for path, _, node in OPERATIONS:
        if not OLD & set(node["tags"]) and path != "/api/kernels/openapi.json":
            codes = {
                code for code, each in node["responses"].items() if "content" in resolved(each)
            }
            assert {(path, code) for code in codes} <= shown
