"""
gunicorn's configuration for a gallery with faults put in on purpose, which those who attack it have to find.

The product's own configuration and application, with the faults that the environment names: see ``hostile_server``.
"""

import json
import os
import runpy
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from unittest import mock

from htmx_flask.requests import HtmxAwareRequest

import app as application
import pixstore.endpoint
from pixstore.gallery import pictures, thumbnails
from pixstore.gallery.uploads import GalleryRequest
from tests.reliability.harness.hostile_server import SEEDS_VARIABLE

ROOT = Path(__file__).parents[3]


def unreadable_bodies() -> AbstractContextManager[object]:
    """What the server raises while a body is read comes through."""
    return mock.patch.object(GalleryRequest, "_load_form_data", HtmxAwareRequest._load_form_data)


def trusting_json() -> AbstractContextManager[object]:
    """A batch is taken for what it should be."""

    def questions(body: bytes) -> list[pixstore.endpoint.Question]:
        images = json.loads(body)["images"]
        return [
            pixstore.endpoint.Question(image["id"], image["proof"], image.get("token")) for image in images
        ]

    return mock.patch.object(pixstore.endpoint, "_batch_questions", questions)


def raw_pages() -> AbstractContextManager[object]:
    """Templates write words as they are."""
    return mock.patch.object(application.Flask, "select_jinja_autoescape", return_value=False)


def raw_decoders() -> AbstractContextManager[object]:
    """What a decoder raises comes through, and nothing is worked out before it begins."""

    def make(data: bytes, *, limits: object, box: int) -> thumbnails.Thumbnail:
        image = thumbnails.decoding.open_image(data, "PNG" if data[1:4] == b"PNG" else "JPEG")
        return thumbnails.Thumbnail(thumbnails._encode(thumbnails._shrink(image, box)), *image.size)

    return mock.patch.object(pictures, "make_thumbnail", make)


SEEDS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    seed.__name__: seed for seed in (unreadable_bodies, trusting_json, raw_pages, raw_decoders)
}

_faults = ExitStack()
for name in os.environ[SEEDS_VARIABLE].split():
    _faults.enter_context(SEEDS[name]())

# Whatever the product's own configuration sets. The workers are forked from here, faults included.
globals().update(runpy.run_path(str(ROOT / "gunicorn.conf.py")))
