"""
Forms and JSON that no page of the gallery sends: odd words in every field, bodies that are wrong, deep, wide or cut off.

    python -m tests.torture.programs.hostile_forms '{"every": 10, "words": "big-list.json"}'

What is accepted is shown again on the gallery's pages, where none of it may come to life.
"""

import json
from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote, urlencode

from tests.gallery_client import PASSWORD, File
from tests.gallery_client.forms import MULTIPART, multipart
from tests.gallery_client.forms import URLENCODED as FORM
from tests.images import png
from tests.raw_http import request
from tests.torture.tools.attacked_gallery import Route, Target, attack, attacked, judged, routes
from tests.torture.tools.odd_words import ODD, naughty
from tests.torture.tools.outcomes import Outcome, main

Case = tuple[str, bytes]

FIELDS: dict[str, tuple[str, ...]] = {
    "account.change_password": ("current", "password", "repeated"),
    "account.end_other_sessions": (),
    "account.export": (),
    "albums.create": ("title",),
    "albums.delete": ("pictures",),
    "albums.rename": ("title",),
    "deletion.delete": ("name", "password"),
    "deletion.delete_other": ("name", "password"),
    "images": (),
    "setup.create_owner": ("name", "password", "repeated"),
    "login.enter": ("name", "password", "next"),
    "login.leave": (),
    "pictures.delete": (),
    "pictures.move": ("album", "new_album"),
    "pictures.rename": ("title",),
    "pictures.replace": ("file",),
    "upload.send": ("album", "new_album", "files"),
    "users.create": ("name", "password", "repeated", "is_owner"),
    "users.disable": (),
    "users.enable": (),
    "users.reset_password": ("password", "repeated"),
}
"""The fields of each form, by the endpoint it is sent to."""

USUAL = {
    "name": "guest",
    "password": PASSWORD,
    "repeated": PASSWORD,
    "title": "Sea",
    "current": "not the password",
}
FILE_FIELDS = {"file", "files"}
PAGES = ("/", "/albums", "/users", "/upload", "/account", "/albums/<album_dir>", "/pictures/<picture_id>")


def run(every: int = 1, words: str | None = None, seed: str | None = None) -> Outcome:
    """Attack a new gallery with one case out of *every*; *words* is a file with more odd words."""
    outcome = Outcome()
    with attacked(*([seed] if seed else [])) as target:
        assault(target, outcome, every=every, words=words)
    return outcome


def assault(target: Target, outcome: Outcome, *, every: int, words: str | None = None) -> None:
    """Attack *target*."""
    forms = [route for route in routes() if route.method == "POST"]
    unknown = {route.endpoint for route in forms} - FIELDS.keys()
    outcome.anomalies += [f"a form of which nothing is known: {endpoint}" for endpoint in sorted(unknown)]
    counts = {}
    with judged(target, outcome):
        for name, cases in (
            ("words in fields", _worded(target, forms, naughty(words))),
            ("bodies", _bodies(target)),
            ("JSON documents", _documents(target)),
        ):
            before = outcome.amount
            target.renew()
            attack(target, islice(cases, 0, None, every), outcome)
            attack(target, _pages(target), outcome)
            counts[name] = outcome.amount - before
    outcome.words = ", ".join(f"{count} {name}" for name, count in counts.items())


def _pages(target: Target) -> Iterator[Case]:
    for page in PAGES:
        path = target.path(Route("", "GET", page))
        yield f"page {page}", request("GET", path, headers=target.session)


# --- odd words


def _worded(target: Target, forms: list[Route], words: list[str]) -> Iterator[Case]:
    for route in forms:
        for field in (*FIELDS.get(route.endpoint, ()), "csrf_token", "unknown", "pair"):
            for number, word in enumerate(words):
                yield f"{route.path} {field}={word[:40]!r}", _form_with(target, route, field, word, number)
    for word in words:
        for route in routes():
            if "<" in route.path:
                path = target.path(
                    route, **dict.fromkeys(target.arguments, quote(word.encode("utf-8", "replace"), safe=""))
                )
                yield (
                    f"{route.method} {path[:60]}",
                    request(route.method, path[:4000], headers=target.headers(route)),
                )


def _form_with(target: Target, route: Route, field: str, word: str, number: int) -> bytes:
    """Return the form of *route* with *word* in *field*; "pair" is a password typed twice."""
    known = FIELDS.get(route.endpoint, ())
    values = {name: USUAL[name] for name in known if name in USUAL}
    if field != "pair":
        values[field] = word
    elif route.endpoint != "account.change_password":
        values |= {"password": word, "repeated": word}
    headers = dict(target.headers(route))
    if field == "csrf_token":
        headers.pop("X-CSRFToken", None)
    if number % 3 == 0:
        headers["HX-Request"] = "true"
    file_fields = FILE_FIELDS & set(known)
    if file_fields or number % 2:
        name = word if field in FILE_FIELDS else "sea.png"
        files = [File(name, png(), file_field) for file_field in file_fields]
        body, content_type = (
            multipart((item for item in values.items() if item[0] not in file_fields), files),
            MULTIPART,
        )
    else:
        encoded = {name: value.encode("utf-8", "surrogatepass") for name, value in values.items()}
        body, content_type = urlencode(encoded).encode(), FORM
    return request(route.method, target.path(route), body, headers={**headers, "Content-Type": content_type})


# --- odd bodies


def _bodies(target: Target) -> Iterator[Case]:
    for path in ("/upload", f"/pictures/{target.arguments['picture_id']}/replace", "/albums", "/login"):
        for name, content_type, body in (*_wrong_types(), *_crowds(), *_odd_parts(), *_cut_off()):
            headers = {**target.session, "Content-Type": content_type}
            yield f"{path} {name}", request("POST", path, body, headers=headers)


def _whole() -> bytes:
    return multipart([("new_album", "Sea"), ("title", "Sea"), ("name", "guest")], [File("sea.png", png())])


def _wrong_types() -> Iterator[tuple[str, str, bytes]]:
    for content_type in ODD["content types"]:
        yield f"as {content_type[:60]!r}", content_type, _whole()
        yield f"{content_type[:60]!r} with nothing", content_type, b""
    for size in (65_000, 70_000, 600_000, 1_100_000):
        yield f"{size} bytes of words", FORM, b"title=" + b"a" * size
        yield f"{size} bytes of fields", FORM, b"a=b&" * (size // 4)
        yield f"{size} bytes in a field", MULTIPART, multipart([("title", "a" * size)])
        yield f"{size} bytes of no form", MULTIPART, b"a" * size
    for body in (
        b"%",
        b"%zz=%zz",
        b"=",
        b"&&&",
        b"a",
        b"title=%ff%fe",
        b"title=%00",
        b"\xff=\xff",
        b"title[]=a",
        b"title=a;b",
    ):
        yield f"form {body!r}", FORM, body


def _crowds() -> Iterator[tuple[str, str, bytes]]:
    for count in (999, 1000, 1001, 5000):
        yield f"{count} parts", MULTIPART, multipart([("a", "b")] * count)
    for count in (20, 400, 1001):
        yield (
            f"{count} files",
            MULTIPART,
            multipart([], [File(f"{number}.png", b"") for number in range(count)]),
        )
    yield "20 pictures", MULTIPART, multipart([], [File("a.png", png())] * 20)
    inner = multipart([("title", "inner")])
    yield "a form in a form", MULTIPART, multipart([("a", inner.decode("latin-1"))], [File("a.png", inner)])
    nested = _whole().replace(b"application/octet-stream", b"multipart/mixed; boundary=y", 1)
    yield (
        "nested",
        MULTIPART,
        nested.replace(b"\x89PNG", b"--y\r\nContent-Disposition: attachment\r\n\r\n\x89PNG"),
    )


def _odd_parts() -> Iterator[tuple[str, str, bytes]]:
    marker = MULTIPART.partition("=")[2].encode()
    for head in ODD["part heads"]:
        for data in (b"Sea", png()):
            body = b"--%s\r\n%s\r\n\r\n%s\r\n--%s--\r\n" % (marker, head.encode("latin-1"), data, marker)
            yield f"part {head[:60]!r}", MULTIPART, body
    usual = b'Content-Disposition: form-data; name="title"'
    for head in (
        b"A: b\r\n" * 3000 + usual,
        b"A: " + b"b" * 100_000 + b"\r\n" + usual,
        usual + b"; a=" + b"b" * 60_000,
    ):
        yield f"a head of {len(head)}", MULTIPART, b"--%s\r\n%s\r\n\r\nSea\r\n--%s--" % (marker, head, marker)
    for old, new in (
        (b"\r\n", b"\n"),
        (b"\r\n", b"\r"),
        (b"--", b"-"),
        (marker, marker + b"x"),
        (b"\r\n\r\n", b"\r\n"),
    ):
        yield f"{new!r} for {old!r}", MULTIPART, _whole().replace(old, new)
    for around in (b"x" * 70_000, b"\r\n" * 5000, b"--" * 5000, b"--" + marker[:-1]):
        yield "something in front", MULTIPART, around + _whole()
        yield "something behind", MULTIPART, _whole() + around


def _cut_off() -> Iterator[tuple[str, str, bytes]]:
    whole = _whole()
    for size in range(1, len(whole)):
        yield f"cut off at {size}", MULTIPART, whole[:size]


# --- JSON


def _documents(target: Target) -> Iterator[Case]:
    for number, (name, body) in enumerate((*_texts(), *_deep_and_wide(target), *_wrong_values(target))):
        headers = {"Content-Type": ("application/json", "text/plain", FORM)[number % 3]}
        yield f"JSON {name}", request("POST", "/pixstore-image", body, headers=headers)
        yield f"JSON {name}, HTTP/1.0", request("POST", "/pixstore-image", body, version="HTTP/1.0")


def _texts() -> Iterator[tuple[str, bytes]]:
    for text in ODD["json"]:
        yield text[:60], text.encode("latin-1")
    usual = '{"images":[{"id":"a:b","proof":"x"}]}'
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"):
        yield f"in {encoding}", usual.encode(encoding)


def _deep_and_wide(target: Target) -> Iterator[tuple[str, bytes]]:
    image = {"id": target.arguments["image_id"], "proof": target.arguments["proof"]}
    for depth in (100, 900, 5_000, 30_000):
        yield f"{depth} deep", b'{"images":' + b"[" * depth + b"]" * depth + b"}"
        yield f"{depth} deep and open", b'{"images":' * depth
    for count in (0, 1, 99, 100, 101, 1000):
        yield f"{count} images", json.dumps({"images": [image] * count}).encode()
        yield f"{count} empty images", json.dumps({"images": [{}] * count}).encode()
    yield (
        "5,000 names",
        json.dumps({"images": [image], **{f"x{number}": 0 for number in range(5000)}}).encode(),
    )
    for size in (65_535, 65_536, 65_537, 1_000_000):
        yield f"{size} bytes", json.dumps({"images": [image]}).encode().ljust(size)
        yield f"{size} bytes of nothing", b" " * size


def _wrong_values(target: Target) -> Iterator[tuple[str, bytes]]:
    image = {"id": target.arguments["image_id"], "proof": target.arguments["proof"], "token": 1}
    values = [
        *ODD["json values"],
        *(json.dumps(word) for word in (*ODD["texts"], *ODD["path parts"])),
        f'"{"a" * 60_000}"',
    ]
    for value in values:
        yield f"all = {value[:60]}", value.encode()
        yield f"images = {value[:60]}", f'{{"images":{value}}}'.encode()
        yield f"an image = {value[:60]}", f'{{"images":[{value}]}}'.encode()
        for field in image:
            rest = json.dumps({name: known for name, known in image.items() if name != field})[1:]
            yield f"{field} = {value[:60]}", f'{{"images":[{{"{field}":{value},{rest}]}}'.encode()


if __name__ == "__main__":
    main(run)
