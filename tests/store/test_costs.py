"""What each operation of the library may cost: statements, syncs, opened files, memory. A change that adds one is noticed."""

import io
import json
from typing import NamedTuple

import pytest

from pixstore.endpoint import ImageEndpoint
from pixstore.store import ImageStore
from tests import images
from tests.costs import CostMeter
from tests.store.endpoint_client import ROUTE


class Bound(NamedTuple):
    """The most that an operation may ask for; *copies* are of the image, at the moment when there are most of them."""

    statements: int
    syncs: int
    opens: int
    copies: float


SAVE = Bound(
    statements=3,  # BEGIN, INSERT, COMMIT
    syncs=3,  # the file, its directory, the log of the database
    opens=2,  # the file, and its directory to sync
    copies=1.1,  # the ciphertext
)
UPDATE = Bound(
    statements=6,  # SELECT before the work; BEGIN, SELECT of the current version, UPDATE, INSERT of the dead blob, COMMIT
    syncs=3,  # as a save
    opens=2,
    copies=1.1,
)
DELETE = Bound(
    statements=5,  # BEGIN, SELECT, DELETE, INSERT of the dead blob, COMMIT
    syncs=2,  # the log of the database, the directory of notes on deletions
    opens=2,  # the note, and its directory to sync
    copies=0.1,  # the image is not read
)
RECORD = Bound(statements=1, syncs=0, opens=0, copies=0.1)  # one SELECT
SUCCESS = Bound(statements=1, syncs=0, opens=1, copies=1.1)  # one SELECT, one file, which is the payload
UPDATED = Bound(statements=1, syncs=0, opens=1, copies=2.1)  # token and key are put in front of a copy
BATCH_SIZE = 48
BATCH = Bound(statements=1, syncs=0, opens=BATCH_SIZE, copies=0.2)  # one SELECT for all; one at a time

IMAGE_KB = 2000


@pytest.fixture(name="meter", autouse=True)
def _meter():
    with CostMeter() as meter:
        yield meter


@pytest.fixture(name="store")
def _store(meter, config):
    store = ImageStore.open(config)
    yield store
    store.close()


@pytest.fixture(name="data", scope="module")
def _data():
    return images.jpeg(size_kb=IMAGE_KB)


def assert_within(costs, bound, size):
    """Fail with what was counted if anything exceeds its bound."""
    assert len(costs.statements) <= bound.statements, costs.statements
    assert len(costs.syncs) <= bound.syncs, costs.syncs
    assert len(costs.opens) <= bound.opens, costs.opens
    assert costs.peak <= bound.copies * size, f"{costs.peak / size:.2f} times the image"


def test_a_save(meter, store, data):
    """A save is one transaction of one row, and syncs what it has written and no more."""
    store.save(data)

    with meter.counted() as costs:
        store.save(data)

    assert_within(costs, SAVE, len(data))


def test_an_update(meter, store, data):
    """An update is one look and one transaction, and leaves the removal of the old blob to another thread."""
    record = store.save(data)
    store.update(record.id, data)

    with meter.counted() as costs:
        store.update(record.id, data)

    assert_within(costs, UPDATE, len(data))


def test_a_delete(meter, store, data):
    """A delete is one transaction and a note beside the blobs; nobody waits for the removal of the blob."""
    first, second = store.save(data), store.save(data)
    store.delete(first.id)

    with meter.counted() as costs:
        store.delete(second.id)

    assert_within(costs, DELETE, len(data))


def test_a_look_at_a_record(meter, store, data):
    """The record of an image is one SELECT; no file is opened."""
    record = store.save(data)
    store.record(record.id)

    with meter.counted() as costs:
        store.record(record.id)

    assert_within(costs, RECORD, len(data))


@pytest.mark.parametrize(("with_token", "bound"), [(True, SUCCESS), (False, UPDATED)])
def test_a_payload(meter, store, data, with_token, bound):
    """A payload is one SELECT and one file."""
    record = store.save(data)
    token = record.token if with_token else None
    store.answer(record.id, proof=record.stateless_proof, client_token=token).to_bytes()

    with meter.counted() as costs:
        payload = store.answer(record.id, proof=record.stateless_proof, client_token=token).to_bytes()

    assert len(payload) > len(data)
    assert_within(costs, bound, len(data))


@pytest.mark.parametrize("with_token", (True, False), ids=("current token", "with the key"))
def test_the_endpoint_sends_a_file_without_reading_it(meter, store, data, with_token):
    """By HTTP an image goes from its file to the socket, with the key or without; its bytes never are in our memory."""
    record, sent = store.save(data), []
    store.record(record.id)
    endpoint = ImageEndpoint(store)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"{ROUTE}/{record.id}",
        "HTTP_X_PIXSTORE_PROOF": record.stateless_proof,
        "HTTP_X_PIXSTORE_TOKEN": str(record.token) if with_token else "",
        "wsgi.file_wrapper": lambda file, _: sent.append(file) or [],
    }

    with meter.counted() as costs:
        endpoint(environ, lambda *_: lambda _head: None)

    sent[0].close()
    assert_within(costs, SUCCESS._replace(copies=0.1), len(data))


def test_a_page_of_thumbnails(meter, store):
    """The thumbnails of a page are one request and one SELECT, and no more of them are in memory than are being sent."""
    thumbnail = images.jpeg(size_kb=20)
    records = [store.save(thumbnail) for _ in range(BATCH_SIZE)]
    store.record(records[0].id)
    body = json.dumps({"images": [{"id": r.id, "proof": r.stateless_proof} for r in records]}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": ROUTE,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }

    with meter.counted() as costs:
        sent = sum(len(piece) for piece in ImageEndpoint(store)(environ, lambda *_: None))

    assert sent > BATCH_SIZE * len(thumbnail)
    assert_within(costs, BATCH, BATCH_SIZE * len(thumbnail))
