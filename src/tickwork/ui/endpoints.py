"""The endpoints: one table, from which both the routes and the API's description are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tickwork.ui import answers, queries
from tickwork.ui.answers import Viewer
from tickwork.ui.bodies import Body
from tickwork.ui.follow import Standing
from tickwork.ui.forks import ForkJob, ForkOrder
from tickwork.ui.history import History
from tickwork.ui.inference import Requests
from tickwork.ui.moments import TickView, TurnView
from tickwork.ui.search import SearchResult
from tickwork.ui.timeline import Timeline
from tickwork.ui.trace import Trace

API_VERSION = "1.0.0"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One question: its path, what it takes (as the query, or for POST as JSON), and what it answers."""

    path: str
    query: type[msgspec.Struct]
    answer: type
    handler: Callable[[Viewer, Any], object]
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of events; `events` says what each kind carries."""

    path: str
    query: type[msgspec.Struct]
    about: str
    events: dict[str, type | str]


ENDPOINTS = (
    Endpoint("/api/server", queries.NoQuery, answers.ServerInfo, Viewer.server),
    Endpoint("/api/runs", queries.NoQuery, answers.RunList, Viewer.runs),
    Endpoint("/api/run", queries.RunQuery, answers.RunDetails, Viewer.run),
    Endpoint("/api/agents", queries.AgentsQuery, answers.AgentList, Viewer.agents),
    Endpoint("/api/timeline", queries.TimelineQuery, Timeline, Viewer.timeline),
    Endpoint("/api/tick", queries.TickQuery, TickView, Viewer.tick),
    Endpoint("/api/turn", queries.TurnQuery, TurnView, Viewer.turn),
    Endpoint("/api/body", queries.BodyQuery, Body, Viewer.body),
    Endpoint("/api/history", queries.HistoryQuery, History, Viewer.history),
    Endpoint("/api/state", queries.TurnQuery, answers.StateView, Viewer.state),
    Endpoint("/api/trace", queries.TraceQuery, Trace, Viewer.trace),
    Endpoint("/api/search", queries.SearchQuery, SearchResult, Viewer.search),
    Endpoint("/api/inference", queries.InferenceQuery, Requests, Viewer.inference),
    Endpoint("/api/forks", ForkOrder, ForkJob, Viewer.fork, "POST"),
    Endpoint("/api/fork", queries.ForkJobQuery, ForkJob, Viewer.fork_job),
)
FOLLOW = Stream(
    "/api/events",
    queries.RunQuery,
    "Follow a run: how far it has come, now and whenever that changes.",
    {"standing": Standing},
)
COMPARE = Stream(
    "/api/compare",
    queries.CompareQuery,
    "Compare two runs: progress while it goes on, then the result of `tickwork diff --json`, and no more.",
    {"progress": '`{"tick": N}`', "result": "as `tickwork diff --json`", "failure": '`{"error": TEXT}`'},
)
STREAMS = (FOLLOW, COMPARE)


def openapi() -> dict[str, Any]:
    """Return the API's description, OpenAPI 3.1."""
    types: dict[type, None] = {}
    for endpoint in ENDPOINTS:
        types[endpoint.query] = types[endpoint.answer] = None
    for stream in STREAMS:
        types[stream.query] = None
        types.update({found: None for found in stream.events.values() if isinstance(found, type)})
    schemas, components = msgspec.json.schema_components(
        list(types), ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        asked = components[endpoint.query.__name__]
        operation: dict[str, Any] = {
            "summary": (endpoint.handler.__doc__ or "").strip(),
            "operationId": endpoint.handler.__name__,
            "responses": {
                "200": _content("The answer.", by_type[endpoint.answer], "application/json"),
                "default": {"$ref": "#/components/responses/Refusal"},
            },
        }
        if endpoint.method == "POST":
            body = {"application/json": {"schema": by_type[endpoint.query]}}
            operation["requestBody"] = {"required": True, "content": body}
        else:
            operation["parameters"] = _parameters(asked)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    for stream in STREAMS:
        paths[stream.path] = {"get": _stream(stream, components)}
    used = {
        name: schema
        for name, schema in components.items()
        if name not in {found.__name__ for found in types if found.__name__.endswith("Query")}
    }
    refusal = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tickwork viewer",
            "version": API_VERSION,
            "description": "Reads run files. Every answer is JSON; nothing is changed but by POST.",
        },
        "paths": paths,
        "components": {
            "schemas": used,
            "responses": {"Refusal": _content("Why there is no answer.", refusal, "application/json")},
        },
    }


def _stream(stream: Stream, components: dict[str, Any]) -> dict[str, Any]:
    told = [
        f"`{name}`: {found if isinstance(found, str) else f'a `{found.__name__}`'}"
        for name, found in stream.events.items()
    ]
    return {
        "summary": stream.about,
        "operationId": stream.path.rpartition("/")[2],
        "parameters": _parameters(components[stream.query.__name__]),
        "responses": {
            "200": _content(f"Events: {'; '.join(told)}.", {"type": "string"}, "text/event-stream"),
            "default": {"$ref": "#/components/responses/Refusal"},
        },
    }


def _content(about: str, schema: object, kind: str) -> dict[str, Any]:
    return {"description": about, "content": {kind: {"schema": schema}}}


def _parameters(asked: dict[str, Any]) -> list[dict[str, Any]]:
    required = set(asked.get("required", ()))
    parameters = []
    for name, schema in asked["properties"].items():
        bounds = {key: value for key, value in schema.items() if key != "description"}
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": schema.get("description", ""),
                "schema": bounds,
            }
        )
    return parameters
