"""sealed.json: one version of one image as it is encrypted, and everything that must not open."""

from typing import Any

from tests.vectors.recipes import primitives
from tests.vectors.recipes.primitives import FORMATS, fixed, gcm

KEY, IV = fixed("sealed key", 32), fixed("sealed iv", 12)

_MIME = {"jpg": "image/jpeg"}
_IMAGES = (
    ("png", "png", primitives.png(2, 1), "a PNG is format 1"),
    ("webp", "webp", primitives.WEBP, "a WebP is format 2"),
    ("jpg", "jpg", primitives.JPEG, "a JPEG is written as format 3"),
    (
        "jpeg",
        "jpeg",
        primitives.JPEG,
        "another program may write a JPEG as format 4; it is read all the same",
    ),
    ("gif", "gif", primitives.GIF, "format 5 and above are those appended to image_formats"),
    ("one byte", "png", b"\0", "the shortest image there can be: opening judges the seal, not the picture"),
    ("larger", "png", primitives.png(40, 40), "several AES blocks, and a last one that is not full"),
)


def document() -> dict[str, Any]:
    """Return what sealed.json holds."""
    return {"image_formats": list(FORMATS), "images": [*map(_opened, _IMAGES), *map(_refused, _damages())]}


def _opened(image: tuple[str, str, bytes, str]) -> dict[str, Any]:
    name, image_format, data, why = image
    key, iv = fixed(f"{name} key", 32), fixed(f"{name} iv", 12)
    format_byte = FORMATS.index(image_format) + 1
    plaintext = bytes((format_byte,)) + data
    ciphertext, tag = gcm(plaintext, key=key, iv=iv)
    return {
        "name": name,
        "why": why,
        "expect": "ok",
        **_hex(key, iv, tag, ciphertext),
        "plaintext": plaintext.hex(),
        "format_byte": format_byte,
        "format": image_format,
        "mime_type": _MIME.get(image_format, f"image/{image_format}"),
        "image": data.hex(),
    }


def _refused(damage: tuple[str, str, dict[str, str]]) -> dict[str, Any]:
    name, why, sealed = damage
    return {"name": name, "why": why, "expect": "refused", **sealed}


def _damages() -> list[tuple[str, str, dict[str, str]]]:
    plaintext = b"\x01" + primitives.png(2, 1)
    ciphertext, tag = gcm(plaintext, key=KEY, iv=IV)
    return [
        ("altered ciphertext", "its first bit is flipped", _hex(KEY, IV, tag, _flip(ciphertext))),
        ("altered tag", "its first bit is flipped", _hex(KEY, IV, _flip(tag), ciphertext)),
        ("altered IV", "its first bit is flipped", _hex(KEY, _flip(IV), tag, ciphertext)),
        ("wrong key", "one bit of it is flipped", _hex(_flip(KEY), IV, tag, ciphertext)),
        ("shorter ciphertext", "its last byte is missing", _hex(KEY, IV, tag, ciphertext[:-1])),
        ("longer ciphertext", "a zero byte was appended", _hex(KEY, IV, tag, ciphertext + b"\0")),
        ("no ciphertext", "there is nothing to open", _hex(KEY, IV, tag, b"")),
        ("associated data", "an image is sealed without any", _with_associated_data(plaintext)),
        ("short tag", "GCM knows tags of 12 bytes; here a tag has 16", _hex(KEY, IV, tag[:12], ciphertext)),
        (
            "tag shifted",
            "one byte of the tag was moved to the ciphertext: joined they are the same bytes",
            _hex(KEY, IV, tag[1:], ciphertext + tag[:1]),
        ),
        ("AES-128", "sealed correctly, but with a key of 16 bytes", _sealed(plaintext, KEY[:16], IV)),
        (
            "long IV",
            "sealed correctly, but with an IV of 16 bytes",
            _sealed(plaintext, KEY, fixed("long iv", 16)),
        ),
        ("empty plaintext", "sealed correctly, but there is no format byte", _sealed(b"", KEY, IV)),
        ("no image", "sealed correctly, but nothing follows the format byte", _sealed(b"\x01", KEY, IV)),
        ("format 0", "sealed correctly, but formats count from 1", _sealed(b"\0" + plaintext[1:], KEY, IV)),
        (
            "unknown format",
            "sealed correctly, but image_formats has no such position",
            _sealed(bytes((len(FORMATS) + 1,)) + plaintext[1:], KEY, IV),
        ),
    ]


def _sealed(plaintext: bytes, key: bytes, iv: bytes) -> dict[str, str]:
    ciphertext, tag = gcm(plaintext, key=key, iv=iv)
    return _hex(key, iv, tag, ciphertext)


def _with_associated_data(plaintext: bytes) -> dict[str, str]:
    ciphertext, tag = gcm(plaintext, key=KEY, iv=IV, associated_data=b"image")
    return _hex(KEY, IV, tag, ciphertext)


def _hex(key: bytes, iv: bytes, tag: bytes, ciphertext: bytes) -> dict[str, str]:
    return {"key": key.hex(), "iv": iv.hex(), "tag": tag.hex(), "ciphertext": ciphertext.hex()}


def _flip(data: bytes) -> bytes:
    return bytes((data[0] ^ 0x80,)) + data[1:]
