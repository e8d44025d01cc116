"""
Master key → store keys and service secret → image keys. Imports ``crypto``, ``blob_format`` (sizes), ``errors``.

The keyring is a small JSON document. Its secrets are wrapped by the master key, so it may be copied anywhere:

    {"format": "pixstore-keyring", "version": 2, "generation": <number>, "active": <store key id>,
     "store_keys": [{"id": <16 hex digits>, "created_at": <ms>, "wrapped": <base64>}, …],
     "service_secret": {"created_at": <ms>, "wrapped": <base64>},
     "dropped": [<store key id>, …], "held": [<store key id>, …],
     "seal": <base64 of HMAC-SHA256 over the document without "seal", keys sorted, no blanks>}

    wrapped = nonce(12) | secret(32) | tag(16), AES-256-GCM under the master key,
              associated data = "pixstore/v1/keyring" | 0 | "store-key" or "service-secret" | 0 | id ("" for the secret)
    the key of the seal = HKDF(master key, "pixstore/v1/keyring-seal")

One store key is active and wraps the keys of new image versions; older ones stay until nothing needs them.
``dropped`` names keys that were removed on purpose. ``held`` names keys that came back from copies of the
keyring: blobs that no record names may need them, so they stay until a rebuild has looked at every blob. Each
change adds 1 to the generation. Documents of version 1 (release 0.1) have neither generation, ``dropped``,
``held`` nor seal; they can be read, and are written as version 2.

    wrapped image key: associated data = format version (u16 LE) | store-key id(8) | image id | blob id(16)
    sealed details, sealed text: under HKDF(store key, label), one label for each purpose

So a wrapped key, details or text that are copied to another row or blob do not open there.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pixstore import crypto
from pixstore.blob_format import FORMAT_VERSION, STORE_KEY_ID_SIZE
from pixstore.errors import DecryptionFailed, KeyringError
from pixstore.ids import RandomBytes

DOCUMENT_FORMAT = "pixstore-keyring"
DOCUMENT_VERSION = 2
UNSEALED_VERSION = 1

SEAL_LABEL = "pixstore/v1/keyring-seal"
PROOF_LABEL = "pixstore/v1/proof"
SESSION_LABEL = "pixstore/v1/session"
CONTENT_ID_LABEL = "pixstore/v1/content-id"
DETAILS_LABEL = "pixstore/v1/details"
TEXT_LABEL = "pixstore/v1/text"

_DAMAGED = "the keyring is damaged"
_WRONG_KEY = (
    "the master key does not open this keyring: it is the key of another store, or the keyring was altered"
)


@dataclass(frozen=True, slots=True)
class StoreKey:
    """A key that wraps image keys."""

    id: str
    created_at: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Keyring:
    """The opened keyring. Immutable: a rotation returns a new one."""

    store_keys: Mapping[str, StoreKey]
    active: str
    service_secret: bytes = field(repr=False)
    service_secret_created_at: int
    generation: int = 1
    dropped: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    randbytes: RandomBytes = field(default=secrets.token_bytes, repr=False, compare=False)
    _derived: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _ciphers: dict[tuple[str, str | None], crypto.Cipher] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def create(cls, *, now: int, randbytes: RandomBytes = secrets.token_bytes) -> "Keyring":
        """Return a new keyring with one store key."""
        key = _new_store_key(now, randbytes)
        return cls({key.id: key}, key.id, randbytes(crypto.KEY_SIZE), now, randbytes=randbytes)

    @classmethod
    def from_json(
        cls,
        document: bytes,
        master_key: bytes,
        *,
        may_be_unsealed: bool = False,
        randbytes: RandomBytes = secrets.token_bytes,
    ) -> "Keyring":
        """
        Open the keyring that *document* holds.

        With *may_be_unsealed*, a document of version 1 opens too. Its keys are authentic, but its choice of
        the active key is not. So use it only for copies and for stores of release 0.1, never for the
        authority.

        Raises:
            KeyringError: If it is damaged, of a newer version, or *master_key* does not open it.
        """
        fields = _parse(document)
        if not (may_be_unsealed and fields["version"] == UNSEALED_VERSION):
            _check_seal(fields, master_key)
        try:
            keys = {
                entry["id"]: StoreKey(
                    str(entry["id"]),
                    int(entry["created_at"]),
                    _unwrap(entry["wrapped"], master_key, "store-key", entry["id"]),
                )
                for entry in fields["store_keys"]
            }
            service = fields["service_secret"]
            secret = _unwrap(service["wrapped"], master_key, "service-secret", "")
            keys[fields["active"]]
            return cls(
                keys,
                fields["active"],
                secret,
                int(service["created_at"]),
                int(fields.get("generation", 0)),
                frozenset(map(str, fields.get("dropped", ()))),
                frozenset(map(str, fields.get("held", ()))),
                randbytes,
            )
        except DecryptionFailed:
            raise KeyringError(_WRONG_KEY) from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise KeyringError(_DAMAGED) from None

    def to_json(self, master_key: bytes) -> bytes:
        """Return the sealed document. *master_key* wraps every secret with a new nonce."""
        document: dict[str, Any] = {
            "format": DOCUMENT_FORMAT,
            "version": DOCUMENT_VERSION,
            "generation": self.generation,
            "active": self.active,
            "store_keys": [
                {
                    "id": key.id,
                    "created_at": key.created_at,
                    "wrapped": self._wrap(key.secret, master_key, "store-key", key.id),
                }
                for key in self.store_keys.values()
            ],
            "service_secret": {
                "created_at": self.service_secret_created_at,
                "wrapped": self._wrap(self.service_secret, master_key, "service-secret", ""),
            },
            "dropped": sorted(self.dropped),
            "held": sorted(self.held),
        }
        document["seal"] = _seal(document, master_key)
        return json.dumps(document, indent=2).encode() + b"\n"

    def with_new_store_key(self, *, now: int) -> "Keyring":
        """Return this keyring with one more store key, which is now the active one."""
        key = _new_store_key(now, self.randbytes)
        return replace(self, store_keys={**self.store_keys, key.id: key}, active=key.id)

    def with_active_since(self, time: int) -> "Keyring":
        """Return this keyring with *time* (ms) as the creation time of its active store key."""
        key = replace(self.store_keys[self.active], created_at=time)
        return replace(self, store_keys={**self.store_keys, key.id: key})

    def without_store_keys(self, key_ids: Collection[str]) -> "Keyring":
        """
        Return this keyring without the store keys *key_ids*, and list them as dropped.

        Raises:
            KeyringError: If one of them is active or held.
        """
        if self.active in key_ids:
            raise KeyringError("the active store key cannot be dropped")
        if self.held.intersection(key_ids):
            raise KeyringError(
                "a store key that came back from a copy is kept until a rebuild has looked at every blob"
            )
        left = {key_id: key for key_id, key in self.store_keys.items() if key_id not in key_ids}
        return replace(self, store_keys=left, dropped=self.dropped | frozenset(key_ids))

    def with_new_service_secret(self, *, now: int) -> "Keyring":
        """Return this keyring with a new service secret. That ends sessions and proofs, and nothing else."""
        return replace(self, service_secret=self.randbytes(crypto.KEY_SIZE), service_secret_created_at=now)

    def with_keys_of(self, others: Iterable["Keyring"]) -> "Keyring":
        """
        Return this keyring with the store keys of *others* that it lacks. The added keys are held.

        A dropped key comes back, too. An older database may have been restored, and images saved under that key since then.
        """
        found = {key_id: key for other in others for key_id, key in other.store_keys.items()}
        new = {key_id: key for key_id, key in found.items() if key_id not in self.store_keys}
        return replace(
            self,
            store_keys={**self.store_keys, **new},
            dropped=self.dropped - new.keys(),
            held=self.held | new.keys(),
        )

    def with_nothing_held(self) -> "Keyring":
        """Return this keyring with no key held. A rebuild calls this, once it has looked at every blob."""
        return replace(self, held=frozenset())

    def wrap_key(self, image_key: bytes, *, image_id: str, blob_id: str) -> bytes:
        """Return *image_key* wrapped by the active store key. It opens for this image id and blob id alone."""
        return crypto.wrap(
            image_key,
            key=self._cipher(self.active),
            nonce=self.randbytes(crypto.IV_SIZE),
            associated_data=_key_place(self.active, image_id, blob_id),
        )

    def unwrap_key(self, wrapped: bytes, *, store_key_id: str, image_id: str, blob_id: str) -> bytes:
        """
        Undo ``wrap_key``.

        Raises:
            KeyringError: If the store key is not in this keyring.
            DecryptionFailed: If anything else is wrong.
        """
        return crypto.unwrap(
            wrapped,
            key=self._cipher(store_key_id),
            associated_data=_key_place(store_key_id, image_id, blob_id),
        )

    def seal_details(self, details: bytes, *, head: bytes) -> bytes:
        """Return *details* sealed by the active store key for the blob whose encoded head is *head*."""
        return self._seal(details, self.active, DETAILS_LABEL, head)

    def open_details(self, sealed: bytes, *, store_key_id: str, head: bytes) -> bytes:
        """Undo ``seal_details``; raises as ``unwrap_key`` does."""
        return self._open(sealed, store_key_id, DETAILS_LABEL, head)

    def seal_text(self, text: str, *, purpose: str, row_id: str) -> bytes:
        """Return *text* sealed for one column (*purpose*) of one row. The id of the store key stands in front."""
        sealed = self._seal(text.encode(), self.active, TEXT_LABEL, _text_place(purpose, row_id))
        return bytes.fromhex(self.active) + sealed

    def open_text(self, sealed: bytes, *, purpose: str, row_id: str) -> str:
        """Undo ``seal_text``; raises as ``unwrap_key`` does."""
        key_id, rest = sealed[:STORE_KEY_ID_SIZE].hex(), sealed[STORE_KEY_ID_SIZE:]
        return self._open(rest, key_id, TEXT_LABEL, _text_place(purpose, row_id)).decode()

    def secret(self, label: str) -> bytes:
        """Return 32 bytes derived from the service secret for the one purpose that *label* names."""
        derived = self._derived.get(label)
        if derived is None:
            derived = self._derived[label] = crypto.derive(self.service_secret, label)
        return derived

    def _store_key(self, key_id: str) -> StoreKey:
        try:
            return self.store_keys[key_id]
        except KeyError:
            raise KeyringError(f"the keyring does not hold the store key {key_id}") from None

    def _seal(self, plaintext: bytes, key_id: str, label: str, place: bytes) -> bytes:
        key = self._cipher(key_id, label)
        return crypto.wrap(plaintext, key=key, nonce=self.randbytes(crypto.IV_SIZE), associated_data=place)

    def _open(self, sealed: bytes, key_id: str, label: str, place: bytes) -> bytes:
        return crypto.unwrap(sealed, key=self._cipher(key_id, label), associated_data=place)

    def _cipher(self, key_id: str, label: str | None = None) -> crypto.Cipher:
        """Return the cipher of the store key *key_id* itself, or of the key derived from it for the purpose *label*."""
        cipher = self._ciphers.get((key_id, label))
        if cipher is None:
            secret = self._store_key(key_id).secret
            cipher = crypto.cipher(secret if label is None else crypto.derive(secret, label))
            self._ciphers[key_id, label] = cipher
        return cipher

    def _wrap(self, secret: bytes, master_key: bytes, kind: str, key_id: str) -> str:
        wrapped = crypto.wrap(
            secret,
            key=master_key,
            nonce=self.randbytes(crypto.IV_SIZE),
            associated_data=_keyring_place(kind, key_id),
        )
        return base64.b64encode(wrapped).decode("ascii")


def merged(keyrings: Sequence[Keyring]) -> Keyring:
    """
    Return one keyring made of at least one copy, for a store whose keyring row is lost.

    The newest copy says which key is active. Every key is held, and none counts as dropped: only the row was
    sure of that.
    """
    newest = max(
        keyrings, key=lambda keyring: (keyring.generation, keyring.store_keys[keyring.active].created_at)
    )
    everything = replace(newest, dropped=frozenset()).with_keys_of(keyrings)
    return replace(everything, held=frozenset(everything.store_keys))


def store_key_ids(document: bytes) -> frozenset[str]:
    """
    Return the ids of the store keys in *document*. This needs no master key.

    Raises:
        KeyringError: If it is damaged or of a newer version.
    """
    try:
        return frozenset(str(entry["id"]) for entry in _parse(document)["store_keys"])
    except (KeyError, TypeError):
        raise KeyringError(_DAMAGED) from None


def active_store_key_id(document: bytes) -> str:
    """
    Return the id of the active store key in *document*.

    This needs no master key, so the id is not authenticated.

    Raises:
        KeyringError: If it is damaged or of a newer version.
    """
    try:
        return str(_parse(document)["active"])
    except KeyError:
        raise KeyringError(_DAMAGED) from None


def _new_store_key(now: int, randbytes: RandomBytes) -> StoreKey:
    return StoreKey(randbytes(STORE_KEY_ID_SIZE).hex(), now, randbytes(crypto.KEY_SIZE))


def _parse(document: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.get("format") != DOCUMENT_FORMAT:
        raise KeyringError(_DAMAGED)
    if fields.get("version") not in (UNSEALED_VERSION, DOCUMENT_VERSION):
        raise KeyringError(
            f"the keyring has version {fields.get('version')!r}; this program reads up to {DOCUMENT_VERSION}"
        )
    return fields


def _seal(fields: Mapping[str, Any], master_key: bytes) -> str:
    unsealed = {name: value for name, value in fields.items() if name != "seal"}
    message = json.dumps(unsealed, sort_keys=True, separators=(",", ":")).encode()
    key = crypto.derive(master_key, SEAL_LABEL)
    return base64.b64encode(hmac.digest(key, message, "sha256")).decode("ascii")


def _check_seal(fields: Mapping[str, Any], master_key: bytes) -> None:
    found = fields.get("seal")
    if not isinstance(found, str) or not found.isascii():
        raise KeyringError(_DAMAGED)
    try:
        expected = _seal(fields, master_key)
    except RecursionError:
        raise KeyringError(_DAMAGED) from None
    if not hmac.compare_digest(found, expected):
        raise KeyringError(_WRONG_KEY)


def _unwrap(wrapped: str, master_key: bytes, kind: str, key_id: str) -> bytes:
    try:
        raw = base64.b64decode(wrapped, validate=True)
    except binascii.Error:
        raise ValueError from None
    secret = crypto.unwrap(raw, key=master_key, associated_data=_keyring_place(kind, key_id))
    if len(secret) != crypto.KEY_SIZE:
        raise ValueError
    return secret


def _keyring_place(kind: str, key_id: str) -> bytes:
    return b"\0".join((b"pixstore/v1/keyring", kind.encode(), key_id.encode()))


def _key_place(store_key_id: str, image_id: str, blob_id: str) -> bytes:
    version = FORMAT_VERSION.to_bytes(2, "little")
    return version + bytes.fromhex(store_key_id) + image_id.encode() + bytes.fromhex(blob_id)


def _text_place(purpose: str, row_id: str) -> bytes:
    return purpose.encode() + b"\0" + row_id.encode()
