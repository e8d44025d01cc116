"""
Raw HTTP that no browser sends, to every route: each is refused or answered, and never the server's fault.

    python -m tests.torture.programs.hostile_http '{"every": 20, "mutants": 200}'

The requests written by hand are some ten thousand; ``every`` takes one in so many. Mutants are sound requests in which
bytes were altered, removed, doubled or exchanged with another's.
"""

import random
from collections.abc import Iterator
from itertools import islice

from tests.raw_http import request
from tests.torture.tools.attacked_gallery import Route, Target, attack, attacked, judged, routes
from tests.torture.tools.odd_words import ODD, bytes_of
from tests.torture.tools.outcomes import Outcome, main

Case = tuple[str, bytes]

LINE, FIELD, FIELDS = 4094, 8190, 64
"""The limits of gunicorn.conf.py."""

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
LONG_CHUNKS = (
    b"F" * 5000 + b"\r\n",
    b"0" * 5000 + b"3\r\nabc\r\n0\r\n\r\n",
    b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    b"1\r\n\xff\r\n" * 3000 + b"0\r\n\r\n",
    b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    b"0\r\nA: " + b"b" * 10_000 + b"\r\n\r\n",
)
LONG_VALUES = (
    "a" * 8000,
    "a," * 3000,
    "a=b; " * 1500,
    "a;q=0." + "9" * 3000,
    "text/html;" * 500,
    "pixstore=" + "." * 500,
)
EVERY_BYTE = [bytes((byte,)) for byte in range(256)]


def run(every: int = 1, mutants: int = 5000, seed: str | None = None) -> Outcome:
    """Attack a new gallery with one out of *every* requests written by hand, and with *mutants* mutated ones."""
    outcome = Outcome()
    with attacked(*([seed] if seed else [])) as target:
        assault(target, outcome, every=every, mutants=mutants)
    return outcome


def assault(target: Target, outcome: Outcome, *, every: int, mutants: int) -> None:
    """Attack *target*."""
    with judged(target, outcome):
        for kind in KINDS:
            target.renew()
            cases = ((f"{kind.__name__} {name}", sent) for name, sent in kind(target))
            attack(target, islice(cases, 0, None, every), outcome)
        by_hand = outcome.amount
        target.renew()
        attack(target, mutated(target, mutants), outcome)
    outcome.words = f"{by_hand} by hand, {outcome.amount - by_hand} mutants, {len(routes())} routes"


# --- bodies


def _bodies(target: Target) -> Iterator[Case]:
    for route in routes():
        for number, chunks in enumerate((*bytes_of("chunked bodies"), *LONG_CHUNKS)):
            content_type = (FORM, MULTIPART, "application/json", "")[number % 4]
            headers = {**target.headers(route), "Transfer-Encoding": "chunked", "Content-Type": content_type}
            yield (
                f"{route.method} {route.path} {chunks[:30]!r}",
                request(route.method, target.path(route), headers=headers) + chunks,
            )
    for coding in (
        "gzip",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "gzip, chunked",
        "x",
        "",
        "\x0bchunked",
    ):
        headers = {**target.session, "Transfer-Encoding": coding, "Content-Type": FORM}
        yield f"coding {coding}", request("POST", "/albums", headers=headers) + b"3\r\nabc\r\n0\r\n\r\n"


def _lengths(target: Target) -> Iterator[Case]:
    for route in routes():
        headers = {**target.headers(route), "Content-Type": FORM}
        for length in (*ODD["lengths"], "1" * 5000) if route.method == "POST" else ODD["lengths"][:6]:
            sent = request(
                route.method, target.path(route), headers={**headers, "Content-Length": length}, body=b""
            )
            yield f"{route.method} {route.path} {length[:20]!r}", sent + b"a=b"
        for twice in (
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
        ):
            sent = request(route.method, target.path(route), headers=headers)
            yield (
                f"{route.method} {route.path} {twice}",
                sent[:-2] + twice.encode() + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            )
        sent = request(route.method, target.path(route), b"x=y", headers=headers, version="HTTP/1.0")
        yield f"{route.method} {route.path} 1.0", sent
        yield f"{route.method} {route.path} cut off", sent[:-2]


# --- the first line


def _hosts(target: Target) -> Iterator[Case]:
    for host in (*ODD["hosts"], "a" * 4000, "a." * 500):
        for path in ("/login", "/", "/nothing", "/pixstore-image/x"):
            yield f"{host[:30]!r} {path}", request("GET", path, headers=target.session, host=host)
    for route in routes():
        sent = request(route.method, target.path(route), headers=target.headers(route))
        yield f"none {route.path}", sent.replace(b"Host: localhost\r\n", b"")
        yield (
            f"none 1.0 {route.path}",
            sent.replace(b"Host: localhost\r\n", b"").replace(b"HTTP/1.1", b"HTTP/1.0"),
        )
        yield f"two {route.path}", sent.replace(b"Host: localhost\r\n", b"Host: localhost\r\nHost: other\r\n")
        yield f"cased {route.path}", sent.replace(b"Host: localhost\r\n", b"hOsT:localhost\r\n")


def _first_lines(target: Target) -> Iterator[Case]:
    for size in (LINE - 2, LINE - 1, LINE, LINE + 1, LINE + 2, 8190, 8191, 65_536, 1_000_000):
        for start in (
            "GET /login?",
            "GET /nothing/",
            "GET /pixstore-image/",
            "GET /?before=",
            "POST /setup/",
        ):
            line = start.encode() + b"a" * (size - len(start) - 9) + b" HTTP/1.1"
            yield f"{start} of {size}", line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    rest = b"Host: localhost\r\nConnection: close\r\n\r\n"
    for version in (
        "0.9",
        "1.0",
        "1.2",
        "2.0",
        "3",
        "9.9",
        "1.1.1",
        "1.",
        ".1",
        "-1.1",
        "01.1",
        "1.1 ",
        "１.1",
        "11",
    ):
        yield f"version {version}", f"GET /login HTTP/{version}\r\n".encode() + rest
    for line in (
        *bytes_of("first lines"),
        b"G" * 4000 + b" / HTTP/1.1",
        b"GET /" + b"%" * 500 + b" HTTP/1.1",
    ):
        yield repr(line[:40]), line + b"\r\n" + rest
        yield f"{line[:40]!r} bare", line + b"\n" + rest.replace(b"\r", b"")
        yield f"{line[:40]!r} alone", line + b"\r\n"
    for byte in EVERY_BYTE:
        yield f"byte {byte!r} in the method", b"GE" + byte + b"T /login HTTP/1.1\r\n" + rest
        yield f"byte {byte!r} in the path", b"GET /lo" + byte + b"gin HTTP/1.1\r\n" + rest
        yield f"byte {byte!r} in the version", b"GET /login HTTP/1.1" + byte + b"\r\n" + rest
        yield f"byte {byte!r} in front", byte + b"GET /login HTTP/1.1\r\n" + rest


def _not_http(_: Target) -> Iterator[Case]:
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
    yield "TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
    yield "SSLv2 hello", b"\x80\x2e\x01\x00\x02" + bytes(40)
    yield "SSH", b"SSH-2.0-OpenSSH_9.2\r\n"
    yield "SMTP", b"EHLO localhost\r\nMAIL FROM:<a@b>\r\n"
    yield (
        "proxy protocol 1",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    yield (
        "proxy protocol 2",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    yield "zeros", bytes(100_000)
    yield "line ends", b"\r\n" * 10_000
    yield "bare line ends", b"\n" * 10_000
    yield "nothing", b""
    chance = random.Random(5)
    for size in (1, 2, 10, 100, 4096, 100_000):
        for number in range(10):
            yield f"noise {size} {number}", chance.randbytes(size)


# --- header fields


def _fields(target: Target) -> Iterator[Case]:
    def with_lines(lines: bytes, path: str = "/login") -> bytes:
        return request("GET", path, headers=target.session)[:-2] + lines + b"\r\n"

    for count in (FIELDS - 6, FIELDS - 5, FIELDS - 4, FIELDS - 3, FIELDS, FIELDS + 1, 200, 2000):
        yield f"{count} fields", with_lines(b"".join(b"A%d: b\r\n" % number for number in range(count)))
        yield f"{count} times one field", with_lines(b"Cookie: a=b\r\n" * count)
    for size in (FIELD - 4, FIELD - 3, FIELD - 2, FIELD - 1, FIELD, FIELD + 1, 65_536, 1_000_000):
        for name in (b"A", b"Cookie", b"Accept", b"X-Pixstore-Proof", b"User-Agent", b"HX-Current-URL"):
            yield (
                f"{name!r} of {size}",
                with_lines(name + b": " + b"a" * (size - len(name) - 4) + b"\r\n", "/upload"),
            )
        yield f"a name of {size}", with_lines(b"A" * size + b": b\r\n")
    for byte in EVERY_BYTE:
        yield f"byte {byte!r} in a name", with_lines(b"X-A" + byte + b"B: c\r\n")
        yield f"byte {byte!r} in a value", with_lines(b"X-A: b" + byte + b"c\r\n")
        yield f"byte {byte!r} in front of a name", with_lines(byte + b"X-A: c\r\n")
        yield (
            f"byte {byte!r} in a cookie",
            with_lines(b"Cookie: pixstore=a" + byte + b"b; c" + byte + b"=d\r\n"),
        )
        yield (
            f"byte {byte!r} in a proof",
            with_lines(b"X-Pixstore-Proof: a" + byte + b"b\r\n", "/pixstore-image/abc"),
        )
    for lines in bytes_of("field lines"):
        yield repr(lines[:40]), with_lines(lines)


def _field_values(target: Target) -> Iterator[Case]:
    every = routes()
    for at, name in enumerate(ODD["field names"]):
        for number, value in enumerate((*ODD["field values"], *LONG_VALUES)):
            route = every[(at + number) % len(every)]
            headers = {"Content-Type": FORM, **target.headers(route), "HX-Request": "true", name: value}
            body = b"title=x" if route.method == "POST" and name != "Content-Length" else b""
            yield (
                f"{name}: {value[:40]!r} {route.path}",
                request(route.method, target.path(route), body, headers=headers),
            )
    for route in every:
        for pair in (
            {"Range": "bytes=0-1"},
            {"If-None-Match": "*"},
            {"Expect": "100-continue"},
            {"TE": "trailers"},
        ):
            yield (
                f"{pair} {route.path}",
                request(route.method, target.path(route), headers={**target.headers(route), **pair}),
            )


# --- paths, queries, methods


def _paths(target: Target) -> Iterator[Case]:
    def sent(route: Route, path: str) -> bytes:
        return request(route.method, path, headers={**target.headers(route), "Content-Type": FORM})

    with_arguments = [route for route in routes() if "<" in route.path]
    for route in with_arguments:
        for argument in _arguments(route):
            for odd in (*ODD["path parts"], "a" * 2000):
                path = target.path(route, **{argument: odd})
                yield f"{route.method} {route.path} {odd[:40]!r}", sent(route, path)
    for number in range(256):
        for route in with_arguments[number % 7 :: 7]:
            path = target.path(route, **{_arguments(route)[-1]: f"a%{number:02x}b"})
            yield f"{route.method} {path}", sent(route, path)
        yield f"root %{number:02X}", request("GET", f"/%{number:02X}", headers=target.session)
    for route in routes():
        path = target.path(route)
        for odd in (
            f"{path}/",
            f"/{path}",
            f"{path}//",
            f"/.{path}",
            f"/x/..{path}",
            f"{path}%00",
            path.upper(),
            f"{path};x",
            f"{path}.",
        ):
            yield f"{route.method} {odd}", sent(route, odd)


def _arguments(route: Route) -> list[str]:
    return [part.split(">")[0] for part in route.path.split("<")[1:]]


def _queries(target: Target) -> Iterator[Case]:
    for path, argument in (
        *(
            ("/", "before"),
            ("/upload", "album"),
            ("/login", "next"),
            ("/pictures/records", "id"),
            ("/healthz", "x"),
        ),
        (f"/pictures/{target.arguments['picture_id']}", "album"),
        (f"/albums/{target.arguments['album_dir']}", "before"),
    ):
        for odd in (
            *ODD["path parts"],
            "9" * 15 + "-a",
            "9" * 16 + "-a",
            "1-" + "a" * 64,
            "٣-a",
            "1-é",
            "1-a%0a",
        ):
            yield (
                f"{path} {argument}={odd[:40]!r}",
                request("GET", f"{path}?{argument}={odd}", headers=target.session),
            )
        for query in (
            "&" * 2000,
            "a=b&" * 900,
            f"{argument}=a&" * 150,
            "=",
            "%",
            "=&=&=",
            f"{argument}[]=a",
            "?" * 99,
        ):
            yield f"{path}?{query[:20]}", request("GET", f"{path}?{query}", headers=target.session)


def _methods(target: Target) -> Iterator[Case]:
    for route in routes():
        for method in (*ODD["methods"], "GET", "POST"):
            for body in (b"", b"_method=DELETE&title=x"):
                headers = {**target.headers(route), "Content-Type": FORM, "X-HTTP-Method-Override": "DELETE"}
                yield f"{method} {route.path}", request(method, target.path(route), body, headers=headers)


def _pipelines(target: Target) -> Iterator[Case]:
    get = request("GET", "/login", headers={"Connection": "keep-alive"})
    yield "two", get * 2
    yield "fifty", get * 50
    yield "one and a half", get + get[:20]
    yield "one and noise", get + b"\0\xff" * 200
    yield "body unread", request("GET", "/healthz", get * 3, headers={"Connection": "keep-alive"})
    for route in routes():
        first = request(
            route.method,
            target.path(route),
            b"a=b",
            headers={**target.headers(route), "Connection": "keep-alive"},
        )
        yield f"{route.method} {route.path} then another", first + get + get[:-2]
        yield f"{route.method} {route.path} then more body", first + b"&c=d" + get


KINDS = (
    *(_bodies, _lengths, _hosts, _first_lines, _not_http, _fields, _field_values),
    *(_paths, _queries, _methods, _pipelines),
)


# --- mutants


def mutated(target: Target, count: int) -> Iterator[Case]:
    """Yield *count* sound requests with a few bytes altered."""
    chance, originals = random.Random(17), list(_sound(target))
    for number in range(count):
        name, sent = chance.choice(originals)
        raw = bytearray(sent)
        for _ in range(chance.choice((1, 1, 1, 2, 4, 12))):
            _mutate(raw, chance, originals)
        yield f"mutant {number} of {name}", bytes(raw)


def _sound(target: Target) -> Iterator[Case]:
    for route in routes():
        for content_type, body in (
            (FORM, b"title=Sea&name=x&password=y&repeated=y&new_album=z"),
            (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nSea\r\n--x--\r\n'),
            ("application/json", b'{"images":[{"id":"a:b","proof":"AAAA","token":1}]}'),
        ):
            headers = {**target.headers(route), "Content-Type": content_type, "HX-Request": "true"}
            form = body if route.method == "POST" else b""
            yield (
                f"{route.method} {route.path}",
                request(route.method, target.path(route), form, headers=headers),
            )
    chunked = request(
        "POST", "/albums", headers={**target.session, "Transfer-Encoding": "chunked", "Content-Type": FORM}
    )
    yield "chunked", chunked + b"5\r\ntitle\r\n4\r\n=Sea\r\n0\r\nA: b\r\n\r\n"


_WORDS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b": ",
    b"%",
    b"--",
    b"\xff",
    b"\xc3\x28",
    b"99999999999",
    b"-1",
    b"..",
    b"[",
    b'"',
)


def _mutate(raw: bytearray, chance: random.Random, originals: list[Case]) -> None:
    at, length = chance.randrange(len(raw) + 1), chance.choice((1, 1, 2, 8, 40))
    kind = chance.randrange(6)
    if kind == 0:
        raw[at : at + 1] = bytes((chance.randrange(256),))
    elif kind == 1:
        raw[at:at] = chance.choice(_WORDS)
    elif kind == 2:
        del raw[at : at + length]
    elif kind == 3:
        raw[at:at] = raw[at : at + length] * chance.choice((1, 2, 100))
    elif kind == 4:
        raw[at : at + length] = chance.choice(originals)[1][at : at + length]
    else:
        del raw[at:]


if __name__ == "__main__":
    main(run)
