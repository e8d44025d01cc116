"""blob_header.json: whole blobs, what opens from them with a store key alone, and what must not."""

import json
from typing import Any

from tests.vectors.recipes import primitives
from tests.vectors.recipes.keyring import ACTIVE_ID, SECRETS
from tests.vectors.recipes.primitives import blob_head, fixed, gcm, hkdf, length_prefixed, wrap

STORE_KEY = SECRETS[ACTIVE_ID]
BLOB_ID, OTHER_BLOB_ID = fixed("blob id", 16).hex(), fixed("other blob id", 16).hex()
IMAGE_ID, OTHER_ID = "players:k3v9t2m5x7q4w6z2abcdefghij", "players:k3v9t2m5x7q4w6z2abcdefghik"
WRITTEN_AT = 1_763_683_200_123
IMAGE_KEY, IV = fixed("blob image key", 32), fixed("blob iv", 12)
IMAGE = primitives.png(2, 1)
EXTRA = {"owner": 7, "title": "Anna am Meer ☀"}


def document() -> dict[str, Any]:
    """Return what blob_header.json holds."""
    return {"store_key_id": ACTIVE_ID, "store_key": STORE_KEY.hex(), "blobs": [*_opened(), *_refused()]}


def _opened() -> list[dict[str, Any]]:
    return [
        _blob(
            "with details", "what the caller of save added is sealed beside format and size", IMAGE_ID, EXTRA
        ),
        _blob(
            "without directory",
            "the id is a key alone, and there are no details of the caller",
            "k3v9t2m5",
            {},
        ),
        _blob(
            "details of two blocks", "the JSON is padded to a multiple of 64", IMAGE_ID, {"title": "x" * 64}
        ),
    ]


def _blob(name: str, why: str, image_id: str, extra: dict[str, Any]) -> dict[str, Any]:
    details = _details(extra)
    ciphertext, tag = gcm(b"\x01" + IMAGE, key=IMAGE_KEY, iv=IV)
    head = _head(image_id.encode(), tag)
    sealed = _sealed_details(details, head)
    header = head + length_prefixed(sealed)
    return {
        "name": name,
        "why": why,
        "expect": "ok",
        "hex": (header + b"\0" + ciphertext).hex(),
        "store_key_id": ACTIVE_ID,
        "blob_id": BLOB_ID,
        "written_at": WRITTEN_AT,
        "wrapped_key": _wrapped_key(image_id).hex(),
        "iv": IV.hex(),
        "tag": tag.hex(),
        "image_id": image_id,
        "sealed_details": sealed.hex(),
        "payload_offset": len(header),
        "details": details.decode(),
        "image_key": IMAGE_KEY.hex(),
        "image_format": "png",
        "extra": extra,
        "image": IMAGE.hex(),
    }


def _refused() -> list[dict[str, Any]]:
    return [
        {"name": name, "why": why, "expect": "refused", "refused_by": by, "hex": data.hex()}
        for by, cases in (("header", _unreadable()), ("details", _moved()), ("key", _moved_key()))
        for name, why, data in cases
    ]


def _unreadable() -> list[tuple[str, str, bytes]]:
    whole, head, sealed, payload = _parts()
    fixed_part = head[:128]
    return [
        ("nothing", "an empty file", b""),
        ("image", "a picture that was never sealed", IMAGE),
        ("other magic", "its first letter is another", b"Q" + whole[1:]),
        ("newer version", "version 2 is not known yet", whole[:6] + b"\x02\x00" + whole[8:]),
        ("cut in the fixed part", "128 bytes: the length of the image id is missing", whole[:128]),
        ("cut in the image id", "its last character is missing", head[:-1]),
        ("cut before the details", "their length is missing", head + b"\0\0\0"),
        ("cut in the details", "their last byte is missing", head + length_prefixed(sealed)[:-1]),
        ("no image id", "its length is 0", fixed_part + b"\0" + length_prefixed(sealed) + payload),
        ("path as image id", "ids follow a grammar", _with_id(b"../../etc/passwd")),
        ("capitals in the image id", "ids are in lower case", _with_id(b"PLAYERS:K3V9T2M5")),
        ("image id not ASCII", "ids are ASCII", _with_id(b"k3v9t2m\xfc")),
        (
            "details that do not come",
            "4 GiB are announced: damage, and no reason to read on",
            head + b"\xff\xff\xff\xff" + sealed + payload,
        ),
    ]


def _moved() -> list[tuple[str, str, bytes]]:
    whole = _parts()[0]
    later = (WRITTEN_AT + 1).to_bytes(8, "little")
    return [
        ("other time", "written_at is one ms later", whole[:32] + later + whole[40:]),
        ("other blob id", "a blob does not open under another name", _with_blob_id(OTHER_BLOB_ID)),
        ("other image id", "a blob does not open for another image", _with_id(OTHER_ID.encode())),
        ("altered IV", "the details are bound to the whole header", whole[:100] + b"\0" + whole[101:]),
        ("no details", "their length is 0", _parts()[1] + bytes(4) + _parts()[3]),
    ]


def _moved_key() -> list[tuple[str, str, bytes]]:
    """Blobs whose details were sealed again, correctly, after the wrapped key was put into another blob's place."""
    ciphertext, tag = gcm(b"\x01" + IMAGE, key=IMAGE_KEY, iv=IV)
    cases = [
        ("key of another blob", "it was wrapped for another blob id", _wrapped_key(IMAGE_ID, OTHER_BLOB_ID)),
        ("key of another image", "it was wrapped for another image id", _wrapped_key(OTHER_ID)),
    ]
    blobs = []
    for name, why, wrapped in cases:
        head = _head(IMAGE_ID.encode(), tag, wrapped)
        header = head + length_prefixed(_sealed_details(_details(EXTRA), head))
        blobs.append((name, why, header + b"\0" + ciphertext))
    return blobs


def _parts() -> tuple[bytes, bytes, bytes, bytes]:
    """Return a blob that opens, and its head, its sealed details and its payload."""
    ciphertext, tag = gcm(b"\x01" + IMAGE, key=IMAGE_KEY, iv=IV)
    head = _head(IMAGE_ID.encode(), tag)
    sealed = _sealed_details(_details(EXTRA), head)
    payload = b"\0" + ciphertext
    return head + length_prefixed(sealed) + payload, head, sealed, payload


def _with_id(image_id: bytes) -> bytes:
    _, head, sealed, payload = _parts()
    return head[:128] + bytes((len(image_id),)) + image_id + length_prefixed(sealed) + payload


def _with_blob_id(blob_id: str) -> bytes:
    whole = _parts()[0]
    return whole[:16] + bytes.fromhex(blob_id) + whole[32:]


def _head(image_id: bytes, tag: bytes, wrapped_key: bytes | None = None) -> bytes:
    return blob_head(
        key_id=ACTIVE_ID,
        blob_id=BLOB_ID,
        written_at=WRITTEN_AT,
        wrapped_key=wrapped_key or _wrapped_key(image_id.decode()),
        iv=IV,
        tag=tag,
        image_id=image_id,
    )


def _wrapped_key(image_id: str, blob_id: str = BLOB_ID) -> bytes:
    return primitives.image_key(
        IMAGE_KEY,
        store_key=STORE_KEY,
        key_id=ACTIVE_ID,
        image_id=image_id,
        blob_id=blob_id,
        nonce=fixed("blob key nonce", 12),
    )


def _details(extra: dict[str, Any]) -> bytes:
    fields = {"format": "png", "size": len(IMAGE), "extra": extra}
    encoded = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return encoded + b" " * (-len(encoded) % 64)


def _sealed_details(details: bytes, head: bytes) -> bytes:
    key = hkdf(STORE_KEY, "pixstore/v1/details")
    return wrap(details, key=key, nonce=fixed("details nonce", 12), associated_data=head)
