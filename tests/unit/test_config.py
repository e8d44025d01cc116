"""The settings: their defaults, where they come from, every fault at once, no secret shown."""

import base64
import dataclasses
from pathlib import Path

import pytest

from pixstore.config import Config
from pixstore.errors import ConfigError

MASTER_KEY = bytes(range(200, 232))
MASTER_KEY_TEXT = base64.b64encode(MASTER_KEY).decode()
DATABASE_URL = "postgresql://app:hunter2@db.example.org/pixstore"


def _faults(environ=None, **options):
    """Return the faults that are reported, a line each."""
    with pytest.raises(ConfigError) as error:
        Config.from_env(environ or {}, **options)
    return str(error.value).splitlines()


# --- defaults


def test_without_any_setting_everything_lies_in_one_directory():
    """The data directory alone says where images and records are."""
    config = Config(data_dir=Path("/srv/pictures"))

    assert config.blobs_path == Path("/srv/pictures/blobs")
    assert config.sqlite_path == Path("/srv/pictures/pixstore.sqlite")


def test_defaults_are_the_documented_ones():
    """What is not set has the value that the documentation gives."""
    config = Config()

    assert config.data_dir == Path("data")
    assert config.image_formats == ("png", "webp", "jpg", "jpeg")
    assert (config.max_image_bytes, config.max_image_pixels) == (32 * 2**20, 100_000_000)
    assert config.default_endpoint_route == "/pixstore-image"
    assert config.default_endpoint_enabled
    assert config.access_control_allow_origin is None
    assert config.error_handling_mode == "hybrid"
    assert config.image_limits == (config.image_formats, config.max_image_bytes, config.max_image_pixels)


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_every_setting_is_documented(field):
    """Each field carries a sentence of help."""
    assert field.metadata["help"].endswith(".")


def test_settings_do_not_change():
    """A store's settings stay as they were checked."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().data_dir = Path("elsewhere")


# --- the environment


def test_every_setting_can_come_from_the_environment():
    """Each variable is read as the type of its field."""
    environ = {
        "PIXSTORE_DATA_DIR": "/srv/pictures",
        "PIXSTORE_IMAGE_ROOT_DIR": "/srv/blobs",
        "PIXSTORE_DATABASE_PATH": "/srv/records.sqlite",
        "PIXSTORE_DATABASE_URL": DATABASE_URL,
        "PIXSTORE_MASTER_KEY": f" {MASTER_KEY_TEXT}\n",
        "PIXSTORE_IMAGE_FORMATS": "png, webp jpg,jpeg,gif",
        "PIXSTORE_STATELESS_KEY_WINDOW_LENGTH": "-1",
        "PIXSTORE_DEFAULT_ENDPOINT_ENABLED": "No",
        "PIXSTORE_DEFAULT_ENDPOINT_ROUTE": "/img",
        "PIXSTORE_ACCESS_CONTROL_ALLOW_ORIGIN": "https://example.org:8443",
        "PIXSTORE_ERROR_HANDLING_MODE": "throw",
        "PIXSTORE_MAX_IMAGE_BYTES": "1000",
        "PIXSTORE_TRUSTED_HOSTS": "example.org,www.example.org",
        "PIXSTORE_COOKIE_SECURE": "1",
    }

    config = Config.from_env(environ)

    assert (config.data_dir, config.image_root_dir) == (Path("/srv/pictures"), Path("/srv/blobs"))
    assert (config.database_path, config.database_url) == (Path("/srv/records.sqlite"), DATABASE_URL)
    assert config.master_key == MASTER_KEY
    assert config.image_formats == ("png", "webp", "jpg", "jpeg", "gif")
    assert config.stateless_key_window_length == -1
    assert (config.default_endpoint_enabled, config.default_endpoint_route) == (False, "/img")
    assert config.access_control_allow_origin == "https://example.org:8443"
    assert (config.error_handling_mode, config.max_image_bytes) == ("throw", 1000)
    assert (config.trusted_hosts, config.cookie_secure) == (("example.org", "www.example.org"), True)


def test_the_environment_of_the_process_is_the_default(monkeypatch):
    """A script and a server with one environment have one store."""
    monkeypatch.setenv("PIXSTORE_DATA_DIR", "/srv/pictures")

    assert Config.from_env().data_dir == Path("/srv/pictures")


def test_options_win_over_the_environment():
    """What a program says counts more, even where the variable is wrong."""
    config = Config.from_env({"PIXSTORE_MAX_IMAGE_BYTES": "many"}, max_image_bytes=5)

    assert config.max_image_bytes == 5


def test_an_empty_variable_is_no_setting():
    """A variable set to nothing, as in many unit files, means the default."""
    assert Config.from_env({"PIXSTORE_DATA_DIR": "", "PIXSTORE_MASTER_KEY": ""}) == Config()


def test_paths_and_lists_may_be_given_plainly():
    """A program may pass a path as text and formats as a list."""
    config = Config(data_dir="pictures", image_formats=["png", "webp", "jpg", "jpeg"])

    assert config == Config(data_dir=Path("pictures"))


# --- faults


def test_every_fault_of_the_environment_is_reported_at_once():
    """One start tells everything there is to mend, a line each, by the name of the variable."""
    faults = _faults(
        {
            "PIXSTORE_MAX_IMAGE_BYTES": "many",
            "PIXSTORE_COOKIE_SECURE": "perhaps",
            "PIXSTORE_MASTER_KEY": "c2hvcnQ=",
            "PIXSTORE_ERROR_HANDLING_MODE": "loud",
            "PIXSTORE_PROXY_HOPS": "-1",
        },
        colour="red",
    )

    assert sorted(faults) == [
        "PIXSTORE_COOKIE_SECURE: expected true or false",
        "PIXSTORE_ERROR_HANDLING_MODE: expected one of hybrid, throw, warn, silent, custom",
        "PIXSTORE_MASTER_KEY: expected 32 bytes in base64",
        "PIXSTORE_MAX_IMAGE_BYTES: expected a whole number",
        "PIXSTORE_PROXY_HOPS: expected a whole number, at least 0",
        "colour: there is no such option",
    ]


def test_faults_of_type_do_not_hide_others():
    """A value of a wrong type is reported together with everything else."""
    faults = _faults(cookie_secure="yes", max_image_bytes=0, error_handling_mode="loud", master_key=b"short")

    assert {fault.partition(":")[0] for fault in faults} == {
        "cookie_secure",
        "max_image_bytes",
        "error_handling_mode",
        "master_key",
    }


@pytest.mark.parametrize(
    ("options", "fault"),
    (
        ({"data_dir": 5}, "data_dir: a value of type int is not possible here"),
        ({"image_formats": ("jpg", "png")}, "image_formats: the list must start png,webp,jpg,jpeg"),
        ({"image_formats": ("png", "webp", "jpg", "jpeg", "heic")}, "image_formats: 'heic' unknown"),
        (
            {"image_formats": ("png", "webp", "jpg", "jpeg", "gif", "gif")},
            "image_formats: a format is named twice",
        ),
        ({"image_formats": ("png", "webp", "jpg", "jpeg", [])}, "image_formats: "),
        ({"image_formats": "png"}, "image_formats: a value of type str"),
        ({"trusted_hosts": (5,)}, "trusted_hosts: "),
        (
            {"stateless_key_window_length": 0},
            "stateless_key_window_length: expected a whole number, at least 1, or -1",
        ),
        (
            {"stateless_key_window_length": 1.5},
            "stateless_key_window_length: expected a whole number, at least 1, or -1",
        ),
        ({"max_image_pixels": True}, "max_image_pixels: expected a whole number"),
        ({"session_lifetime": 1}, "session_lifetime: expected a whole number, at least 60000"),
        ({"default_endpoint_route": "images"}, "default_endpoint_route: expected a path"),
        ({"default_endpoint_route": "/"}, "default_endpoint_route: expected a path"),
        ({"default_endpoint_route": "/a/"}, "default_endpoint_route: expected a path"),
        ({"access_control_allow_origin": "example.org"}, "access_control_allow_origin: expected an origin"),
        (
            {"access_control_allow_origin": "https://a\r\nX: y"},
            "access_control_allow_origin: expected an origin",
        ),
        ({"database_url": "mysql://x"}, "database_url: expected postgresql://"),
        ({"master_key": MASTER_KEY, "master_key_file": Path("key")}, "master_key, master_key_file: give one"),
    ),
    ids=lambda value: None if isinstance(value, str) else str(value)[:60],
)
def test_each_fault_has_its_words(options, fault):
    """A wrong option is named, with what was expected."""
    (only,) = _faults(**options)

    assert only.startswith(fault)


# --- secrets


def test_no_secret_is_printed():
    """Neither the master key nor the database's password is in what a config shows of itself."""
    config = Config(master_key=MASTER_KEY, database_url=DATABASE_URL)

    shown = f"{config} {config!r}"

    assert "data_dir" in shown
    assert not any(
        secret in shown for secret in (MASTER_KEY_TEXT, repr(MASTER_KEY)[2:-1], MASTER_KEY.hex(), "hunter2")
    )


@pytest.mark.parametrize(
    ("environ", "options"),
    (
        ({"PIXSTORE_MASTER_KEY": MASTER_KEY_TEXT[:-8] + "!secret!"}, {}),
        ({"PIXSTORE_MASTER_KEY": base64.b64encode(MASTER_KEY + b"secret").decode()}, {}),
        ({"PIXSTORE_DATABASE_URL": "mysql://app:hunter2@secret/db"}, {}),
        ({}, {"master_key": MASTER_KEY_TEXT}),
        ({}, {"master_key": MASTER_KEY + b"secret"}),
        ({}, {"database_url": b"postgresql://app:hunter2@secret/db"}),
    ),
    ids=("not base64", "too long", "other database", "text", "too many bytes", "bytes"),
)
def test_no_secret_is_in_an_error(environ, options):
    """A wrong key or address is reported without being repeated, in the message and in what caused it."""
    with pytest.raises(ConfigError) as error:
        Config.from_env(environ, **options)

    shown = f"{error.value!r} {error.value.__cause__!r} {error.value.__context__!r}"
    secrets = (MASTER_KEY_TEXT[:20], repr(MASTER_KEY)[2:40], "hunter2", "secret")
    assert not any(secret in shown for secret in secrets)
