"""
The image endpoint by HTTP: gunicorn as `make run` starts it, npm's own endpoint, and a bare `sendfile` under the same gunicorn.

Each load is a number of connections that ask for one image after the other (`http_load.py`) for a while. Success: the client
has the current token, and gets the sealed image alone. Updated: it has none, and gets the key, too.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import sample_images
from processes import HERE as BENCH
from processes import (
    ROUTE,
    Side,
    environment,
    free_port,
    gunicorn,
    side,
    wait_until_it_answers,
    with_children,
)
from rounds import Plan, turned
from table import FLOOR, HERE, NPM, Figure, Row, Sample, Target

HELD = {"10 KB": 100, "200 KB": 40, "2 MB": 10}
"""How many images take turns."""
CONNECTIONS = (8, 32)
STATES = {"Success": 0, "Updated": 1}
SECONDS = 0.8

LARGEST = "2 MB"
BY_NPM = {"10 KB": {32: 1.0}, "200 KB": {8: 1.0, 32: 1.0}, "2 MB": dict[int, float]()}
BY_FLOOR = 0.85
MOST_PROCESSOR = 0.28
PROCESSOR_BY_NPM = 0.35
P99_BY_NPM = 1.5
UPDATED_BY_SUCCESS = 0.85

_client_shares = [0.0]


@dataclass
class Server:
    """A server on a port, and who knows the records of its images."""

    port: int
    pid: int
    records: Side | None = None

    def requests(self, file: str, count: int, *, with_token: bool) -> list[str]:
        """Return a request for each of *count* images, with proofs of now."""
        if self.records is None:
            return [request("GET", ROUTE, {})]
        answer = self.records.ask(do="hold", file=file, count=count)
        return [
            request(
                "GET",
                f"{ROUTE}/{quote(record['id'], safe='')}",
                {"x-pixstore-proof": record["proof"]}
                | ({"x-pixstore-token": str(record["token"])} if with_token else {}),
            )
            for record in answer["records"]
        ]


def measure(plan: Plan) -> tuple[list[Row], list[Figure]]:
    """Return a row for each size, state and number of connections; and the memory under this load."""
    files = sample_images.write(plan.directory, list(HELD))
    rows = _rows()
    memory = Figure("memory under the endpoint's load (PSS)", "MB", by_npm=Target(at_most=1))
    with ExitStack() as stack:
        servers = open_servers(stack, plan, "endpoint")
        servers[FLOOR] = _bare_sendfile(stack, plan)
        for number in plan.numbered("endpoint"):
            most = dict.fromkeys((HERE, NPM), 0.0)
            for (size, state, connections), row in rows.items():
                names = list(servers) if (size, state) == (LARGEST, "Success") else [HERE, NPM]
                for name in turned(names, number):
                    server = servers[name]
                    requests = server.requests(files[size], HELD[size], with_token=state == "Success")
                    result = load(server, connections, requests, state=STATES[state], seconds=SECONDS)
                    if name in most:
                        most[name] = max(most[name], result["pss"] / 1e6)
                    if number >= 0:
                        row.samples[name].append(sample_of(result))
            if number >= 0:
                for name, megabytes in most.items():
                    memory.values[name].append(megabytes)
    return list(rows.values()), [memory]


def open_servers(stack: ExitStack, plan: Plan, section: str) -> dict[str, Server]:
    """Start both servers on stores of their own, and wait until they answer."""
    ours, npm = (plan.directory / f"{section}-{name}" for name in (HERE, NPM))
    port, process = stack.enter_context(gunicorn(ours))
    wait_until_it_answers(port)
    npm_port = free_port()
    npm_side = stack.enter_context(side("npm_side.mjs", npm, port=npm_port))
    wait_until_it_answers(npm_port)
    return {
        HERE: Server(port, process.pid, stack.enter_context(side("python_side.py", ours))),
        NPM: Server(npm_port, npm_side.pid, npm_side),
    }


def request(method: str, path: str, headers: dict[str, str], body: str = "") -> str:
    """Return the text of a request."""
    if body:
        headers = headers | {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {headers[name]}" for name in headers),
    ]
    return "\r\n".join([*lines, "", body])


def load(
    server: Server,
    connections: int,
    requests: Sequence[str],
    *,
    state: int | None,
    seconds: float,
    page: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Run the client, and return what it says."""
    command = {
        "port": server.port,
        "connections": connections,
        "requests": list(requests),
        "state": state,
        "seconds": seconds,
        "processes": with_children(server.pid),
        "page": page,
    }
    done = subprocess.run(
        [sys.executable, str(BENCH / "http_load.py")],
        env=environment(),
        input=json.dumps(command),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    _client_shares.append(result["client"] / result["seconds"])
    return result


def sample_of(result: dict[str, Any]) -> Sample:
    """Return what the client has counted, in the units of the table."""
    count, seconds = result["count"], result["seconds"]
    return Sample(
        count / seconds, result["processor"] / count * 1000, result["p50"] * 1000, result["p99"] * 1000
    )


def client_share() -> float:
    """Return how much of one processor the client has used at most, so far."""
    return max(_client_shares)


def _rows() -> dict[tuple[str, str, int], Row]:
    rows: dict[tuple[str, str, int], Row] = {}
    for size in HELD:
        for state in STATES:
            for connections in CONNECTIONS:
                row = rows[size, state, connections] = Row(
                    f"endpoint, {state}", size, f"{connections} connections"
                )
                if state == "Updated":
                    success = rows[size, "Success", connections]
                    row.other = (success, "Success", Target(at_least=UPDATED_BY_SUCCESS))
                    continue
                bound = BY_NPM[size].get(connections)
                row.npm = None if bound is None else Target(at_least=bound)
                if size == LARGEST:
                    row.floor = Target(at_least=BY_FLOOR)
                    row.processor_by_npm = Target(at_most=PROCESSOR_BY_NPM)
    most_asked = rows["10 KB", "Success", 32]
    most_asked.processor = Target(at_most=MOST_PROCESSOR)
    most_asked.p99_by_npm = Target(at_most=P99_BY_NPM)
    return rows


def _bare_sendfile(stack: ExitStack, plan: Plan) -> Server:
    file = plan.directory / "sealed"
    size = sample_images.SHAPES[LARGEST][2]
    file.write_bytes(bytes([STATES["Success"]]) * size)
    port, process = stack.enter_context(
        gunicorn(plan.directory / "no-store", "bare_sendfile:app", BENCH_FILE=str(file))
    )
    wait_until_it_answers(port)
    return Server(port, process.pid)
