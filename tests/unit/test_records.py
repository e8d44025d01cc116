"""The record of an image: as JSON, and printed."""

import dataclasses
import json

import pytest

from pixstore.records import ImageMeta, ImageRecord

META = ImageMeta(key="S0VZ", iv="SVY=", tag="VEFH")
RECORD = ImageRecord("players:k3v9t2m5", 1_763_683_200_123, "jpg", META, "cHJvb2Y=")


def test_json_is_what_browsers_read():
    """Names and values are those of the protocol, and it is plain JSON."""
    assert json.loads(json.dumps(RECORD.to_json())) == {
        "id": "players:k3v9t2m5",
        "token": 1_763_683_200_123,
        "imageFormat": "jpg",
        "meta": {"key": "S0VZ", "iv": "SVY=", "tag": "VEFH"},
        "statelessProof": "cHJvb2Y=",
    }


@pytest.mark.parametrize(
    "fields",
    (RECORD.to_json(with_meta=False), dataclasses.replace(RECORD, meta=None).to_json()),
    ids=("left out for a page", "not known"),
)
def test_without_meta_no_key_is_in_it(fields):
    """What ends in a page has no key, IV or tag, and no empty place for them."""
    assert set(fields) == {"id", "token", "imageFormat", "statelessProof"}


def test_nothing_secret_is_printed():
    """A record shows what names the image, not what opens it or fetches it."""
    shown = f"{RECORD} {RECORD!r} {META!r}"

    assert "players:k3v9t2m5" in shown
    assert not any(secret in shown for secret in ("S0VZ", "SVY=", "VEFH", "cHJvb2Y="))


@pytest.mark.parametrize(("record", "name"), ((RECORD, "token"), (META, "key")))
def test_records_do_not_change(record, name):
    """A record is of one version; another version has another record."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, "other")
