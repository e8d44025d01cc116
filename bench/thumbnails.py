"""
A page of 60 thumbnails: here one POST for all of them, with npm 60 GETs over the 6 connections that a browser opens.

One visitor, who has none of them yet, loads the page again and again.
"""

import json
from contextlib import ExitStack

import sample_images
from endpoint import Server, load, open_servers, request, sample_of
from processes import ROUTE
from rounds import Plan, turned
from table import HERE, NPM, Figure, Row, Target

THUMBNAILS = 60
CONNECTIONS = 6
SECONDS = 1.5
PAGES_BY_NPM = 5.0
KEY_AND_TOKEN = 69
"""What the payload of an image holds before its ciphertext, for a client that has not got it yet."""
LENGTH = 4
"""What precedes each payload of a batch."""


def measure(plan: Plan) -> tuple[list[Row], list[Figure]]:
    """Return how many pages a second, and when the first thumbnail is there."""
    files = sample_images.write(plan.directory, ["10 KB"])
    file, size = files["10 KB"], len(sample_images.jpeg(*sample_images.SHAPES["10 KB"]))
    row = Row(f"page of {THUMBNAILS} thumbnails", "10 KB", "one visitor")
    row.npm = Target(at_least=PAGES_BY_NPM)
    first = Figure(f"first of {THUMBNAILS} thumbnails", "ms")
    payload = KEY_AND_TOKEN + size
    with ExitStack() as stack:
        servers = open_servers(stack, plan, "thumbnails")
        for number in plan.numbered("thumbnails"):
            for name in turned([HERE, NPM], number):
                server = servers[name]
                if name == HERE:
                    page = {"first": LENGTH + payload, "whole": THUMBNAILS * (LENGTH + payload)}
                    requests, connections, state = [_batch(server, file)], 1, None
                else:
                    page = {"first": payload, "whole": 0}
                    requests = server.requests(file, THUMBNAILS, with_token=False)
                    connections, state = CONNECTIONS, 1
                result = load(server, connections, requests, state=state, seconds=SECONDS, page=page)
                if number >= 0:
                    row.samples[name].append(sample_of(result))
                    first.values[name].append(result["first"] * 1000)
    return [row], [first]


def _batch(server: Server, file: str) -> str:
    if server.records is None:
        raise RuntimeError("nobody knows the records of this server")
    records = server.records.ask(do="hold", file=file, count=THUMBNAILS)["records"]
    images = [{"id": record["id"], "proof": record["proof"]} for record in records]
    return request("POST", ROUTE, {}, json.dumps({"images": images}))
