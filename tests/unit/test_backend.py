"""The functions of `pixstore.backend` and `pixstore.shared`: what each returns, and what an error does in each mode."""

import asyncio
import logging
import threading

import pytest

from pixstore import backend, shared, wire
from pixstore.errors import (
    ConfigError,
    DatabaseUnavailable,
    ImageNotFound,
    ImageRejected,
    InvalidId,
    PixstoreError,
    UnreadableFile,
)
from pixstore.records import ImageRecord
from pixstore.shared import get_last_pixstore_error, set_custom_error_handler
from tests import images

NOBODY = "k3v9t2m5x7q4"


@pytest.fixture(name="init")
def _init(tmp_path):
    """Return `init_pixstore_backend` for a fresh data directory; what it opened is closed afterwards."""

    def init(**options):
        return backend.init_pixstore_backend(**{"data_dir": tmp_path / "data", **options})

    yield init
    if backend._store is not None:
        backend._store.close()
    backend._store = None
    set_custom_error_handler(None)


@pytest.fixture(name="opened", autouse=True)
def _opened(init):
    return init()


@pytest.fixture(autouse=True)
def _no_last_error():
    token = shared._last_error.set(None)
    yield
    shared._last_error.reset(token)


@pytest.fixture(name="photo_file")
def _photo_file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(images.jpeg())
    return path


# --- results


def test_saving_gives_a_record():
    """A saved image has an id in its namespace, a token, a format and what opens it."""
    record = backend.save_image(images.jpeg(), "Players")

    assert isinstance(record, ImageRecord)
    assert record.id.startswith("players:")
    assert record.image_format == "jpg"
    assert record.meta is not None
    assert get_last_pixstore_error() is None


def test_a_record_can_be_read_again():
    """The record of an image is the one that saving gave; of no image there is none."""
    record = backend.save_image(images.png())

    assert backend.get_image_record(record.id) == record
    assert backend.get_image_record(NOBODY) is None
    assert get_last_pixstore_error() is None


def test_updating_gives_a_new_key_and_a_larger_token():
    """The id stays, everything that opens the image changes."""
    first = backend.save_image(images.png())

    second = backend.update_image(first.id, images.webp())

    assert second.id == first.id
    assert second.token > first.token
    assert second.image_format == "webp"
    assert not {second.meta.key, second.meta.iv, second.meta.tag} & {
        first.meta.key,
        first.meta.iv,
        first.meta.tag,
    }


def test_updating_no_image_gives_none():
    """There is nothing to replace: no record, and the last error says so."""
    assert backend.update_image(NOBODY, images.png()) is None
    assert isinstance(get_last_pixstore_error(), ImageNotFound)


def test_deleting_tells_whether_there_was_one():
    """True the first time, False the second, and nothing is left."""
    record = backend.save_image(images.png())

    assert backend.delete_image(record.id) is True
    assert backend.delete_image(record.id) is False
    assert backend.get_image_record(record.id) is None
    assert backend.image_exists(record.id) is False


def test_existence():
    """True for an image, False for none."""
    assert backend.image_exists(backend.save_image(images.png()).id) is True
    assert backend.image_exists(NOBODY) is False


@pytest.mark.parametrize(
    "image_id", ("../x", "../../etc/passwd", "a/b", "", "A" * 12, "x" * 1000, None, 5), ids=repr
)
def test_a_hostile_id_is_no_image(image_id, tmp_path):
    """A path is no id: nothing is found, nothing outside the store is touched."""
    outside = tmp_path / "x"
    outside.write_text("precious")

    assert backend.get_image_record(image_id) is None
    assert backend.image_exists(image_id) is False
    assert backend.delete_image(image_id) is False
    assert backend.update_image(image_id, images.png()) is None
    assert outside.read_text() == "precious"


def test_files_are_saved_and_updated_as_bytes_are(photo_file):
    """The functions for files read them and do the same."""
    record = backend.save_image_from_file(photo_file, "players")
    updated = backend.update_image_from_file(record.id, str(photo_file))

    assert record.id.startswith("players:")
    assert updated.token > record.token


@pytest.mark.parametrize(
    "buffer", (bytearray(images.png()), memoryview(images.png())), ids=("bytearray", "memoryview")
)
def test_any_buffer_is_an_image(buffer):
    """Bytes may come in any kind of buffer."""
    assert backend.save_image(buffer).image_format == "png"


def test_the_endpoint_helper_gives_wire_payloads(opened):
    """For a route of one's own: key and all without a token, ciphertext alone with the current one, states otherwise."""
    record = backend.save_image(images.png())
    ask = backend.custom_endpoint_helper

    updated = wire.decode(ask(record.id, None, record.stateless_proof))
    current = wire.decode(ask(record.id, record.token, record.stateless_proof))

    assert (updated.token, len(updated.key)) == (record.token, 32)
    assert current.ciphertext == updated.ciphertext
    assert ask(record.id, None, "forged") == bytes([wire.WireState.INVALID_PROOF])
    assert ask(None, None, record.stateless_proof) == bytes([wire.WireState.MISSING_ID])
    assert ask(record.id, None, None) == bytes([wire.WireState.MISSING_PROOF])


# --- opening


def test_a_script_and_a_server_share_one_store(init, tmp_path, monkeypatch):
    """What is not given comes from the environment."""
    record = backend.save_image(images.png())
    monkeypatch.setenv("PIXSTORE_DATA_DIR", str(tmp_path / "data"))

    backend.init_pixstore_backend()

    assert backend.get_image_record(record.id) == record


def test_opening_reports_every_wrong_option(init):
    """An option that does not exist and one that is wrong are named together."""
    with pytest.raises(ConfigError, match=r"(?s)colour: there is no such option.*proxy_hops"):
        init(colour="red", proxy_hops=-1)


def test_before_opening_every_function_says_what_to_do(monkeypatch):
    """Whatever the mode would be, the mistake is in the program, so it is raised."""
    monkeypatch.setattr(backend, "_store", None)

    with pytest.raises(ConfigError, match="call init_pixstore_backend first"):
        backend.save_image(images.png())


# --- bad input


@pytest.mark.parametrize(
    ("buffer", "words"),
    (
        (b"", "the file is empty"),
        (b"hello", "not an image we know"),
        (images.png()[:-5], "truncated"),
        (images.gif(), "GIF images are not accepted here"),
        (images.pixel_bomb(), "900.0 megapixels"),
        ("text", "an image must be bytes, not str"),
        (None, "an image must be bytes, not NoneType"),
    ),
    ids=("empty", "text", "truncated", "gif", "bomb", "str", "none"),
)
def test_a_bad_image_is_refused_with_words(buffer, words):
    """No record, and the last error tells a person what was wrong."""
    assert backend.save_image(buffer) is None
    assert isinstance(get_last_pixstore_error(), ImageRejected)
    assert words in str(get_last_pixstore_error())


def test_a_bad_image_does_not_replace_a_good_one():
    """After a refused update the image is what it was."""
    record = backend.save_image(images.png())

    assert backend.update_image(record.id, b"hello") is None
    assert backend.get_image_record(record.id) == record


def test_a_bad_directory_is_refused_with_words():
    """Nothing of the name is usable: said so."""
    assert backend.save_image(images.png(), "写真") is None
    assert isinstance(get_last_pixstore_error(), InvalidId)


@pytest.mark.parametrize(
    "name", ("missing.png", "", "a\0b", "."), ids=("missing", "nothing", "zero byte", "directory")
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, name):
    """The path and the reason are told."""
    monkeypatch.chdir(tmp_path)

    assert backend.save_image_from_file(name) is None
    assert isinstance(get_last_pixstore_error(), UnreadableFile)
    assert str(get_last_pixstore_error()).startswith(f"the file {name} could not be read: ")


def test_a_file_that_is_too_large_is_not_read_whole(init, tmp_path):
    """A file of a terabyte is refused after the bytes an image may have."""
    init(max_image_bytes=1000)
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(images.png())
        file.truncate(2**40)

    assert backend.save_image_from_file(path) is None
    assert get_last_pixstore_error().reason == "too_large"


# --- modes


@pytest.fixture(name="broken")
def _broken(monkeypatch):
    """Return a function after which every read of a record fails as if the program had a bug."""

    def broken():
        monkeypatch.setattr(backend._store, "record", lambda _: 1 / 0)

    return broken


def test_hybrid_logs_and_remembers_expected_errors_and_raises_others(init, broken, caplog):
    """The default: a person's mistake is an answer, a program's mistake is an exception."""
    init(error_handling_mode="hybrid")
    broken()

    assert backend.save_image(b"") is None
    with pytest.raises(ZeroDivisionError):
        backend.get_image_record(NOBODY)

    assert [record.message for record in caplog.records] == ["ImageRejected: the file is empty"]
    assert isinstance(get_last_pixstore_error(), ImageRejected)


def test_throw_raises_everything(init, broken):
    """Every error is raised as it is."""
    init(error_handling_mode="throw")
    broken()

    with pytest.raises(ImageRejected):
        backend.save_image(b"")
    with pytest.raises(ZeroDivisionError):
        backend.get_image_record(NOBODY)


def test_warn_logs_everything(init, broken, caplog):
    """Nothing is raised; each error is a warning."""
    init(error_handling_mode="warn")
    broken()

    assert backend.save_image(b"") is None
    assert backend.get_image_record(NOBODY) is None

    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.WARNING]
    assert "ZeroDivisionError" in caplog.text


def test_silent_says_nothing(init, broken, caplog):
    """Nothing is raised and nothing logged; the last error is kept all the same."""
    init(error_handling_mode="silent")
    broken()

    assert backend.save_image(b"") is None
    assert backend.get_image_record(NOBODY) is None

    assert caplog.records == []
    assert isinstance(get_last_pixstore_error(), ImageRejected)


def test_custom_calls_the_handler(init, broken, caplog):
    """Every error goes to the program's own handler, and to nothing else."""
    met = []
    init(error_handling_mode="custom")
    set_custom_error_handler(met.append)
    broken()

    assert backend.save_image(b"") is None
    assert backend.get_image_record(NOBODY) is None

    assert [type(error) for error in met] == [ImageRejected, ZeroDivisionError]
    assert caplog.records == []


def test_custom_without_handler_is_a_configuration_error(init):
    """The program forgot something: it is told what, and the cause is not lost."""
    init(error_handling_mode="custom")

    with pytest.raises(ConfigError, match="call set_custom_error_handler") as error:
        backend.save_image(b"")
    assert isinstance(error.value.__cause__, ImageRejected)


def test_a_storage_error_gives_none(opened, monkeypatch):
    """Where the storage fails, each function gives None, which no other outcome of `delete_image` does."""

    def unavailable(*_arguments, **_options):
        raise DatabaseUnavailable("the database is not available: locked")

    monkeypatch.setattr(opened.parts.models, "read_images", unavailable)
    monkeypatch.setattr(opened, "unit_of_work", unavailable)

    assert backend.get_image_record(NOBODY) is None
    assert backend.image_exists(NOBODY) is None
    assert backend.delete_image(NOBODY) is None
    assert backend.save_image(images.png()) is None
    assert isinstance(get_last_pixstore_error(), DatabaseUnavailable)


# --- the last error belongs to its context


def test_the_last_error_is_the_newest():
    """The next error takes its place; a success leaves it."""
    backend.save_image(b"")
    backend.update_image(NOBODY, images.png())
    backend.save_image(images.png())

    assert isinstance(get_last_pixstore_error(), ImageNotFound)


def test_threads_do_not_see_each_others_errors():
    """Two threads that fail at the same time each read their own error."""
    barrier, seen = threading.Barrier(2), {}

    def fail(name, call):
        barrier.wait(10)
        for _ in range(50):
            call()
            seen.setdefault(name, set()).add(type(get_last_pixstore_error()))

    calls = {
        "rejected": lambda: backend.save_image(b""),
        "missing": lambda: backend.update_image(NOBODY, b""),
    }
    threads = [threading.Thread(target=fail, args=item) for item in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {"rejected": {ImageRejected}, "missing": {ImageNotFound}}
    assert get_last_pixstore_error() is None


def test_tasks_do_not_see_each_others_errors():
    """Tasks that take turns on one thread each read their own error, after every turn."""

    async def fail(call, kind):
        for _ in range(20):
            call()
            await asyncio.sleep(0)
            assert isinstance(get_last_pixstore_error(), kind)

    async def both():
        await asyncio.gather(
            fail(lambda: backend.save_image(b""), ImageRejected),
            fail(lambda: backend.update_image(NOBODY, b""), ImageNotFound),
        )

    asyncio.run(both())

    assert get_last_pixstore_error() is None


def test_work_handed_to_a_thread_by_a_task_keeps_its_error_there():
    """`asyncio.to_thread`, the way to call this from a task, does not leak an error into the task."""

    async def handed():
        await asyncio.to_thread(backend.save_image, b"")
        return get_last_pixstore_error()

    assert asyncio.run(handed()) is None


def test_no_secret_is_in_a_logged_error(init, caplog):
    """What the log says of a failed call holds neither the image nor a key."""
    init(error_handling_mode="warn")
    record = backend.save_image(images.png())
    caplog.clear()

    backend.update_image(record.id, b"a secret, but no image")

    assert "ImageRejected" in caplog.text
    assert not any(secret in caplog.text for secret in ("a secret", record.meta.key, record.stateless_proof))
    assert isinstance(get_last_pixstore_error(), PixstoreError)
