"""
A gallery with faults: `gunicorn.conf.py` of the product, and what GALLERY_FAULTS names put into every worker.

gunicorn reads this module as its configuration (`start` says so); the faults are there before a worker is forked. Those of
``seeds`` concern the store, those of this module what only a running server can do wrong.
"""

import io
import json
import os
import runpy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from gunicorn.workers.gthread import ThreadWorker
from htmx_flask.requests import HtmxAwareRequest

import app as application
from pixstore import endpoint
from pixstore.answers import Question
from pixstore.formats import InspectedImage
from pixstore.gallery import devices, pictures, sessions, throttle, thumbnails
from pixstore.gallery.intake import Intake
from pixstore.gallery.photo_facts import PhotoFacts
from pixstore.gallery.serving import Worker
from pixstore.gallery.spool import Spool
from pixstore.gallery.web.request import GalleryRequest
from pixstore.keyring import PROOF_LABEL, Keyring
from pixstore.maintenance.check import check
from tests.gallery_server import ROOT, GalleryServer
from tests.torture.tools import seeded_faults
from tests.torture.tools.stores import later, quiet_store

VARIABLE = "GALLERY_FAULTS"


def start(directory: Path, seed: str | None = None, **settings: str) -> GalleryServer:
    """Start a gallery in *directory*, with the fault *seed* put into it."""
    if seed is not None:
        settings |= {"GUNICORN_CMD_ARGS": f"--config python:{__name__}", VARIABLE: seed}
    return GalleryServer(directory, **settings).start()


def aftermath(server: GalleryServer) -> list[str]:
    """Return what a stopped gallery has left: tracebacks, and what a deep check finds but for orphans."""
    store = quiet_store(server.data_dir, now=later)
    try:
        findings = check(store, deep=True).findings
    finally:
        store.close()
    return tracebacks(server) + [f"check: {f.kind}: {f.message}" for f in findings if f.kind != "orphan"]


def tracebacks(server: GalleryServer) -> list[str]:
    """Return the tracebacks in the output of *server*, in full, because they are shown nowhere else."""
    _, *found = server.output.read_text().split("Traceback ")
    return [f"a traceback: {rest[:2000]}" for rest in found]


@contextmanager
def per_process_secret() -> Iterator[None]:
    """Each worker makes proofs with its own key; the npm original uses a new key at each start."""
    usual = Keyring.secret

    def secret(keyring: Keyring, label: str) -> bytes:
        return usual(keyring, f"{label} of {os.getpid()}" if label == PROOF_LABEL else label)

    with mock.patch.object(Keyring, "secret", secret):
        yield


@contextmanager
def hasty_close() -> Iterator[None]:
    """A worker that is told to stop closes connections of which it has just said that they stay open."""
    with mock.patch.object(Worker, "finish_request", ThreadWorker.finish_request):
        yield


@contextmanager
def leaking_memory() -> Iterator[None]:
    """Every page of pictures leaves two megabytes behind."""
    with _leaking(lambda: b"x" * 2**21):
        yield


@contextmanager
def leaking_descriptors() -> Iterator[None]:
    """Every page of pictures leaves an open file behind."""
    with _leaking(lambda: open(os.devnull)):
        yield


@contextmanager
def _leaking(what: Callable[[], object]) -> Iterator[None]:
    usual, kept = pictures.page, []

    def page(*rest: Any, **named: Any) -> pictures.Page:
        kept.append(what())
        return usual(*rest, **named)

    with mock.patch.object(pictures, "page", page):
        yield


def unreadable_bodies() -> AbstractContextManager[object]:
    """Errors that the server raises while a body is read are not translated."""
    return mock.patch.object(GalleryRequest, "_load_form_data", HtmxAwareRequest._load_form_data)


def trusting_json() -> AbstractContextManager[object]:
    """The JSON of a batch is used without checks."""

    def questions(body: bytes) -> list[Question]:
        images = json.loads(body)["images"]
        return [Question(image["id"], image["proof"], image.get("token")) for image in images]

    return mock.patch.object(endpoint, "_batch_questions", questions)


def raw_pages() -> AbstractContextManager[object]:
    """Templates write words as they are."""
    return mock.patch.object(application.Flask, "select_jinja_autoescape", return_value=False)


def raw_decoders() -> AbstractContextManager[object]:
    """What a decoder raises comes through, and nothing is worked out before it begins."""

    def inspect(data: bytes, _limits: object, **_: object) -> InspectedImage:
        return InspectedImage(data, "png" if data[1:4] == b"PNG" else "jpg", 1, 1)

    def decode(image: InspectedImage, *, max_pixels: int, box: int) -> thumbnails.DecodedPicture:
        source = thumbnails.decoding.open_image(image.data, thumbnails._PILLOW_NAMES[image.format])
        small = thumbnails._encode(thumbnails._shrink(source, box))
        return thumbnails.DecodedPicture(small, *source.size, PhotoFacts())

    patches = ExitStack()
    patches.enter_context(mock.patch.object(pictures.formats, "inspect", inspect))
    patches.enter_context(mock.patch.object(pictures, "decode", decode))
    return patches


@contextmanager
def forms_in_memory() -> Iterator[None]:
    """Every form is taken in at once, and its files are kept in memory."""

    class InMemory(io.BytesIO):
        @property
        def size(self) -> int:
            return len(self.getbuffer())

    with (
        mock.patch.object(Spool, "new_file", side_effect=lambda _: InMemory()),
        mock.patch.object(Intake, "place_for", side_effect=lambda _: nullcontext()),
    ):
        yield


def hasty_logins() -> AbstractContextManager[object]:
    """A login begins without another look at the account, whatever has happened since its password was checked."""
    return mock.patch.object(sessions, "lock_unchanged", return_value=None)


def typed_spelling() -> AbstractContextManager[object]:
    """Attempts count by the name as it was typed."""
    return mock.patch.object(throttle, "normal_name", lambda text: text)


def unknown_browsers() -> AbstractContextManager[object]:
    """No browser is recognized as one that was let in before."""
    return mock.patch.object(devices, "recognize", return_value=None)


OF_A_SERVER = (
    forms_in_memory,
    per_process_secret,
    hasty_close,
    leaking_memory,
    leaking_descriptors,
    unreadable_bodies,
    trusting_json,
    raw_pages,
    raw_decoders,
    hasty_logins,
    typed_spelling,
    unknown_browsers,
)
SEEDS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    **seeded_faults.SEEDS,
    **{seed.__name__: seed for seed in OF_A_SERVER},
}

if VARIABLE in os.environ:
    globals().update(runpy.run_path(os.fspath(ROOT / "gunicorn.conf.py")))
    _faults = ExitStack()
    for _name in os.environ[VARIABLE].split():
        _faults.enter_context(SEEDS[_name]())
