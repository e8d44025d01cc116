"""A client of the image endpoint, by Werkzeug, with every rule of PEP 3333 checked on the way."""

import json
from urllib.parse import quote
from wsgiref.validate import validator

from werkzeug.test import Client

from pixstore.endpoint import ImageEndpoint

ROUTE = "/pixstore-image"
NOBODY = "k3v9t2m5x7q4"
NOT_FOUND, MISSING_PROOF, INVALID_PROOF, INTERNAL_ERROR = b"\x02", b"\x04", b"\x05", b"\x06"


class EndpointClient(Client):
    """Takes the whole answer and closes it, as a server does."""

    def open(self, *arguments, **options):
        """Send one request."""
        return super().open(*arguments, buffered=True, **options)


def client_of(store):
    """Return a client of the endpoint of *store*."""
    return EndpointClient(validator(ImageEndpoint(store)))


def proof_and_token(proof=None, token=None):
    """Return the headers that carry a proof and a token."""
    given = {"x-pixstore-proof": proof, "x-pixstore-token": token}
    return {name: str(value) for name, value in given.items() if value is not None}


def get(client, image_id, proof=None, token=None, **options):
    """Ask for one image."""
    path = f"{ROUTE}/{quote(image_id, safe='')}"
    return client.get(path, headers=proof_and_token(proof, token), **options)


def post(client, asked, path=ROUTE):
    """Ask for a batch of images."""
    return client.post(path, data=json.dumps({"images": asked}), content_type="application/json")
