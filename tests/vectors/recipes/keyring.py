"""keyring.json: keyring documents, what they open to, and what is derived and wrapped with them."""

import base64
import hmac
import json
from typing import Any

from tests.vectors.recipes.primitives import fixed, hkdf, image_key, keyring_secret, wrap

MASTER_KEY = fixed("master key", 32)
SERVICE_SECRET = fixed("service secret", 32)
OLD_ID, ACTIVE_ID = fixed("old store key id", 8).hex(), fixed("active store key id", 8).hex()
DROPPED_ID = fixed("dropped store key id", 8).hex()
SECRETS = {OLD_ID: fixed("old store key", 32), ACTIVE_ID: fixed("active store key", 32)}
CREATED_AT = {OLD_ID: 1_763_683_200_000, ACTIVE_ID: 1_763_683_200_456}

IMAGE_ID, BLOB_ID = "players:k3v9t2m5x7q4w6z2abcdefghij", fixed("blob id", 16).hex()
OTHER_BLOB_ID = fixed("other blob id", 16).hex()
TITLE = "Anna am Meer ☀"

_LABELS = ("pixstore/v1/proof", "pixstore/v1/session", "pixstore/v1/content-id")


def document() -> dict[str, Any]:
    """Return what keyring.json holds."""
    return {
        "keyrings": [_opened(), _opened_copy(), *_refused()],
        "derived": [{"label": label, "key": hkdf(SERVICE_SECRET, label).hex()} for label in _LABELS],
        "image_keys": _image_keys(),
        "texts": _texts(),
    }


def keyring_document() -> dict[str, Any]:
    """Return the keyring that opens, before it is sealed."""
    return {
        "format": "pixstore-keyring",
        "version": 2,
        "generation": 7,
        "active": ACTIVE_ID,
        "store_keys": [
            {"id": key_id, "created_at": CREATED_AT[key_id], "wrapped": _wrapped("store-key", key_id, secret)}
            for key_id, secret in SECRETS.items()
        ],
        "service_secret": {
            "created_at": CREATED_AT[OLD_ID],
            "wrapped": _wrapped("service-secret", "", SERVICE_SECRET),
        },
        "dropped": [DROPPED_ID],
        "held": [OLD_ID],
    }


def first_release_document() -> dict[str, Any]:
    """Return the same keyring as release 0.1 wrote it: without a seal, and without what the seal protects."""
    fields = keyring_document() | {"version": 1}
    return {name: value for name, value in fields.items() if name not in ("generation", "dropped", "held")}


def _opened() -> dict[str, Any]:
    return {
        "name": "two store keys",
        "why": "the newer one is active; the older one still opens what it wrapped",
        "expect": "ok",
        "master_key": MASTER_KEY.hex(),
        "may_be_unsealed": False,
        "document": _sealed(keyring_document()),
        "generation": 7,
        "dropped": [DROPPED_ID],
        "held": [OLD_ID],
        "active": ACTIVE_ID,
        "store_keys": [
            {"id": key_id, "created_at": CREATED_AT[key_id], "secret": secret.hex()}
            for key_id, secret in SECRETS.items()
        ],
        "service_secret": SERVICE_SECRET.hex(),
        "service_secret_created_at": CREATED_AT[OLD_ID],
    }


def _opened_copy() -> dict[str, Any]:
    return _opened() | {
        "name": "copy of release 0.1",
        "why": "it has no seal, so it opens as a copy and never as the authority",
        "may_be_unsealed": True,
        "document": _text(first_release_document()),
        "generation": 0,
        "dropped": [],
        "held": [],
    }


def _refused() -> list[dict[str, Any]]:
    whole = _sealed(keyring_document())
    other_master_key = fixed("another master key", 32)
    cases = [
        ("wrong master key", "it belongs to another store", whole, other_master_key),
        (
            "altered store key",
            "one bit of its wrapped secret is flipped",
            _with(_alter_store_key),
            MASTER_KEY,
        ),
        ("altered service secret", "one bit of it is flipped", _with(_alter_service_secret), MASTER_KEY),
        ("renamed store key", "a secret opens only under its own id", _with(_rename_store_key), MASTER_KEY),
        ("swapped store keys", "each under the id of the other", _with(_swap_store_keys), MASTER_KEY),
        (
            "store key as service secret",
            "a secret opens only in its own place",
            _with(_mix_kinds),
            MASTER_KEY,
        ),
        ("active key missing", "no store key has this id", _with(_lose_active_key), MASTER_KEY),
        (
            "short store key",
            "16 bytes, correctly wrapped, are no AES-256 key",
            _with(_shorten_key),
            MASTER_KEY,
        ),
        ("no store keys", "the list is missing", _with(lambda fields: fields.pop("store_keys")), MASTER_KEY),
        (
            "newer version",
            "version 3 is not known yet",
            _with(lambda fields: fields.update(version=3)),
            MASTER_KEY,
        ),
        ("no seal", "version 1 is not the authority", _text(first_release_document()), MASTER_KEY),
        ("seal left out", "a document of version 2 has one", _text(keyring_document()), MASTER_KEY),
        (
            "another active key",
            "chosen by somebody without the master key",
            _chosen(active=OLD_ID),
            MASTER_KEY,
        ),
        ("another generation", "an old document made to look new", _chosen(generation=8), MASTER_KEY),
        (
            "nothing dropped",
            "to bring a key back that was removed on purpose",
            _chosen(dropped=[]),
            MASTER_KEY,
        ),
        (
            "other format",
            "JSON of something else",
            _with(lambda fields: fields.update(format="x")),
            MASTER_KEY,
        ),
        ("list", "JSON, but not an object", "[]\n", MASTER_KEY),
        ("cut", "the second half is missing", whole[: len(whole) // 2], MASTER_KEY),
        ("empty", "a file of no bytes", "", MASTER_KEY),
    ]
    return [
        {"name": name, "why": why, "expect": "refused", "master_key": key.hex(), "document": text}
        for name, why, text, key in cases
    ]


def _image_keys() -> list[dict[str, Any]]:
    secret = fixed("image key", 32)
    place = {"store_key_id": ACTIVE_ID, "image_id": IMAGE_ID, "blob_id": BLOB_ID}
    wrapped = _image_key(secret, ACTIVE_ID)
    altered = bytes((wrapped[0] ^ 1,)) + wrapped[1:]
    return [
        {"name": "active store key", "why": "as it is written today", "expect": "ok"}
        | place | {"wrapped": wrapped.hex(), "image_key": secret.hex()},
        {"name": "older store key", "why": "still read after a rotation", "expect": "ok"}
        | place | {"store_key_id": OLD_ID, "wrapped": _image_key(secret, OLD_ID).hex(), "image_key": secret.hex()},
        {"name": "another image", "why": "moved to another image id", "expect": "refused"}
        | place | {"image_id": IMAGE_ID[:-1] + "k", "wrapped": wrapped.hex()},
        {"name": "another blob", "why": "moved to another blob id", "expect": "refused"}
        | place | {"blob_id": OTHER_BLOB_ID, "wrapped": wrapped.hex()},
        {"name": "another store key", "why": "said to be wrapped by the older one", "expect": "refused"}
        | place | {"store_key_id": OLD_ID, "wrapped": wrapped.hex()},
        {"name": "unknown store key", "why": "the keyring does not hold it", "expect": "refused"}
        | place | {"store_key_id": "00" * 8, "wrapped": wrapped.hex()},
        {"name": "altered", "why": "one bit of the nonce is flipped", "expect": "refused"}
        | place | {"wrapped": altered.hex()},
        {"name": "empty", "why": "not even a nonce", "expect": "refused"} | place | {"wrapped": ""},
    ]  # fmt: skip


def _texts() -> list[dict[str, Any]]:
    sealed = _sealed_text(TITLE, "title", "7")
    place = {"purpose": "title", "row_id": "7", "sealed": sealed.hex()}
    return [
        {"name": "title", "why": "sealed for one column of one row", "expect": "ok", **place, "text": TITLE},
        {"name": "another row", "why": "moved to row 8", "expect": "refused", **place, "row_id": "8"},
        {
            "name": "another column",
            "why": "moved to the album",
            "expect": "refused",
            **place,
            "purpose": "album",
        },
        {"name": "altered", "why": "the last bit is flipped", "expect": "refused", **place}
        | {"sealed": (sealed[:-1] + bytes((sealed[-1] ^ 1,))).hex()},
        {"name": "cut", "why": "only the id of the store key is left", "expect": "refused", **place}
        | {"sealed": sealed[:8].hex()},
    ]


def _image_key(secret: bytes, key_id: str) -> bytes:
    return image_key(
        secret,
        store_key=SECRETS[key_id],
        key_id=key_id,
        image_id=IMAGE_ID,
        blob_id=BLOB_ID,
        nonce=fixed(f"image key nonce {key_id}", 12),
    )


def _sealed_text(text: str, purpose: str, row_id: str) -> bytes:
    key = hkdf(SECRETS[ACTIVE_ID], "pixstore/v1/text")
    place = f"{purpose}\0{row_id}".encode()
    return bytes.fromhex(ACTIVE_ID) + wrap(
        text.encode(), key=key, nonce=fixed("text nonce", 12), associated_data=place
    )


def _wrapped(kind: str, key_id: str, secret: bytes) -> str:
    return keyring_secret(
        secret, master_key=MASTER_KEY, nonce=fixed(f"nonce {kind} {key_id}", 12), kind=kind, key_id=key_id
    )


def _text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=2) + "\n"


def _sealed(fields: dict[str, Any]) -> str:
    message = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    seal = hmac.digest(hkdf(MASTER_KEY, "pixstore/v1/keyring-seal"), message, "sha256")
    return _text(fields | {"seal": base64.b64encode(seal).decode()})


def _with(damage) -> str:
    fields = keyring_document()
    damage(fields)
    return _sealed(fields)


def _chosen(**fields: Any) -> str:
    """Return the sealed document with *fields* put in afterwards."""
    return _text(json.loads(_sealed(keyring_document())) | fields)


def _alter_store_key(fields: dict[str, Any]) -> None:
    fields["store_keys"][0]["wrapped"] = _flipped(fields["store_keys"][0]["wrapped"])


def _alter_service_secret(fields: dict[str, Any]) -> None:
    fields["service_secret"]["wrapped"] = _flipped(fields["service_secret"]["wrapped"])


def _rename_store_key(fields: dict[str, Any]) -> None:
    fields["store_keys"][0]["id"] = "00" * 8


def _swap_store_keys(fields: dict[str, Any]) -> None:
    first, second = fields["store_keys"]
    first["wrapped"], second["wrapped"] = second["wrapped"], first["wrapped"]


def _mix_kinds(fields: dict[str, Any]) -> None:
    fields["service_secret"]["wrapped"] = fields["store_keys"][0]["wrapped"]


def _lose_active_key(fields: dict[str, Any]) -> None:
    fields["active"] = "00" * 8


def _shorten_key(fields: dict[str, Any]) -> None:
    fields["store_keys"][0]["wrapped"] = _wrapped("store-key", OLD_ID, SECRETS[OLD_ID][:16])


def _flipped(encoded: str) -> str:
    raw = base64.b64decode(encoded)
    return base64.b64encode(raw[:-1] + bytes((raw[-1] ^ 1,))).decode()
