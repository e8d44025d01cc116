"""What no request brings about, on any route: a redirect elsewhere, a header of its own choice, a refusal that tells."""

from urllib.parse import quote, urlsplit

import pytest

from pixstore.wire import WireState
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import png
from tests.web.routes import TABLE, address, new_arguments

ELSEWHERE = "https://elsewhere.example/"
PLACES = ("Location", "Refresh", "HX-Redirect", "HX-Location", "HX-Push-Url", "HX-Replace-Url")
"""Headers that lead a browser, or htmx, to another page."""

MARK = "said-by-the-client"
CLIENT_SAYS = {
    name: f"{MARK} {name}"
    for name in (
        "Accept-Language",
        "Origin",
        "Referer",
        "User-Agent",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X-Request-Id",
        "HX-Prompt",
        "HX-Target",
        "HX-Trigger",
        "HX-Trigger-Name",
    )
}

every_route = pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method}-{row.endpoint}")
every_role = pytest.mark.parametrize("role", ("nobody", "mine"))
with_and_without_htmx = pytest.mark.parametrize("htmx", (False, True), ids=("browser", "htmx"))


def logged_in(world, role):
    """Return a visitor who is *role*."""
    visitor = GalleryClient(world)
    return visitor if role == "nobody" else visitor.logs_in(role)


def ask(visitor, row, *, headers, **fields):
    """Ask for the route of *row* with *fields* in its query, and in its form where it takes one."""
    path = address(visitor.app, row.endpoint, new_arguments(visitor.app.extensions["pixstore.gallery"]))
    form = {"csrf_token": visitor.token(), **fields} if row.method == "POST" else None
    return visitor.flask.open(
        path, method=row.method, query_string=fields, data=form, headers=headers, buffered=True
    )


def headers_of(answer):
    """Return the headers of *answer*, but for the session's cookie, which has a time in it."""
    return [(name, value) for name, value in answer.headers if name != "Set-Cookie"]


# --- no redirect elsewhere


@every_role
@every_route
def test_no_route_leads_elsewhere(world, row, role):
    """Whatever a request names as where it comes from or wants to go, the answer leads to a path of this site."""
    visitor = logged_in(world, role)
    of_a_browser = {"Referer": ELSEWHERE, "X-Forwarded-Host": "elsewhere.example"}
    of_htmx = {"HX-Request": "true", "HX-Current-URL": ELSEWHERE}

    answers = [
        ask(visitor, row, headers=headers, next=ELSEWHERE, url=ELSEWHERE, return_to=ELSEWHERE)
        for headers in (of_a_browser, of_a_browser | of_htmx)
    ]

    assert all(is_own(answer.headers.get(place, "/")) for answer in answers for place in PLACES)


@pytest.mark.parametrize(
    "target", (ELSEWHERE, "//elsewhere.example", "/\\elsewhere.example", "/\t/elsewhere.example"), ids=repr
)
def test_login_ends_here(world, target):
    """A link to the login page that names another site leads home, from the form as from the address."""
    answer = GalleryClient(world).post(
        f"/login?next={quote(target)}", {"name": "mine", "password": PASSWORD, "next": target}
    )

    assert (answer.status_code, answer.location) == (303, "/")


def is_own(target):
    """Tell whether a browser takes *target* for a path of the site it is on."""
    parts = urlsplit(target.replace("\\", "/"))
    return target.startswith("/") and not parts.scheme and not parts.netloc


# --- no header of the client's choice


@every_role
@every_route
def test_no_header_repeats_the_request(world, row, role):
    """What a client sends stands in no header of the answer; the way back behind a login is all that may."""
    answer = ask(logged_in(world, role), row, headers=CLIENT_SAYS, name=MARK, title=MARK, **{MARK: "1"})

    headers = dict(answer.headers)
    if headers.get("Location", "").startswith("/login?next=/"):
        del headers["Location"]
    assert MARK not in str(headers)


@pytest.mark.parametrize("ending", ("\r\n", "\n", "\r", "\u010a", "\u2028"), ids=ascii)
@pytest.mark.parametrize("path", ("/{}", "/login?next=/{}", "/albums?{}", "/pictures/{}", "/static/{}/a.css"))
def test_no_line_ending_starts_a_header(world, path, ending):
    """A line ending in path or query starts no header of the answer, and stands in none."""
    answer = GalleryClient(world).flask.get(path.format(quote(f"{ending}Mark: 1{ending}")), buffered=True)

    assert answer.status_code < 500
    assert "Mark" not in answer.headers
    assert all(value.isprintable() and value.isascii() for _, value in answer.headers)


# --- refusals that tell nothing


@with_and_without_htmx
@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.other == 404 and row.mine != 404], ids=lambda row: row.endpoint
)
def test_foreign_and_missing_look_the_same_on_every_route(world, row, htmx):
    """To see or change what is somebody else's gets the answer for what does not exist, headers included."""
    given = new_arguments(world.extensions["pixstore.gallery"])
    missing = {name: "a" * len(str(value)) for name, value in given.items()}
    visitor = logged_in(world, "other")
    visit = visitor.get if row.method == "GET" else visitor.post

    answers = [visit(address(world, row.endpoint, to), htmx=htmx) for to in (given, missing)]

    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].data == answers[1].data
    assert headers_of(answers[0]) == headers_of(answers[1])


def test_every_bad_proof_gets_one_answer(app, gallery, now, config):
    """Forged, old, early or of another image: one answer, whether the image is there, was deleted or never was."""
    window = config.stateless_key_window_length
    kept, deleted, other = (gallery.store.save(png()) for _ in range(3))
    gallery.store.delete(deleted.id)
    now.forward(3 * window)
    early = gallery.store.record(kept.id)
    now.forward(-window)
    records = (kept, deleted, early, gallery.store.record(other.id))
    bad = ("forged", "A" * 22 + "==", *(record.stateless_proof for record in records))

    answers = [
        app.test_client().get(
            f"/pixstore-image/{image_id}", headers={"x-pixstore-proof": proof}, buffered=True
        )
        for image_id in (kept.id, deleted.id, "k3v9t2m5x7q4")
        for proof in bad
    ]

    assert {answer.data for answer in answers} == {bytes([WireState.INVALID_PROOF])}
    assert len({str(answer.headers) for answer in answers}) == 1


@with_and_without_htmx
def test_every_bad_form_token_gets_one_answer(anna, htmx):
    """A form without its token, with a forged one and with another browser's is refused in the same words."""
    tokens = (None, "", "forged", GalleryClient(anna.app).token())
    headers = {"HX-Request": "true"} if htmx else {}

    answers = [
        anna.flask.post("/albums", data={"csrf_token": token} if token is not None else {}, headers=headers)
        for token in tokens
    ]

    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.data for answer in answers}) == 1
