"""The host names that the application answers to are the same for pages and for images."""

import json

import pytest

from app import create_app
from pixstore.config import Config
from tests.images import jpeg

HOST, FOREIGN = "photos.example", "evil.example"


@pytest.fixture
def serve(config):
    """Return a function that makes the application, with settings, and one image in its store."""
    made = []

    def serve(**settings):
        app = create_app(Config(data_dir=config.data_dir, **settings))
        made.append(app)
        return app.test_client(), app.extensions["pixstore"].save(jpeg())

    yield serve
    for app in made:
        app.extensions["pixstore"].close()


def ask(client, record, host, **headers):
    """Ask for a page, for one image and for several, by that host name; return the answers."""
    url = f"http://{host}"
    headers |= {"x-pixstore-proof": record.stateless_proof}
    several = json.dumps({"images": [{"id": record.id, "proof": record.stateless_proof}]})
    return [
        client.get("/healthz", base_url=url, headers=headers),
        client.get(f"/pixstore-image/{record.id}", base_url=url, headers=headers, buffered=True),
        client.post("/pixstore-image", base_url=url, headers=headers, data=several, buffered=True),
    ]


def test_images_are_handed_out_for_trusted_hosts_only(serve):
    """By another name pages and images answer 400 in the same words, and no key or ciphertext leaves the server."""
    client, record = serve(trusted_hosts=(HOST,))

    good, bad = ask(client, record, HOST), ask(client, record, FOREIGN)

    assert [answer.status_code for answer in good] == [200, 200, 200]
    assert [answer.status_code for answer in bad] == [400, 400, 400]
    assert len({answer.data for answer in bad}) == 1
    assert all(answer.headers["X-Frame-Options"] == "DENY" for answer in bad)


@pytest.mark.parametrize(
    ("trusted", "host", "status"),
    (
        ((), FOREIGN, 200),
        ((f".{HOST}",), f"a.{HOST}", 200),
        ((f".{HOST}",), HOST, 200),
        ((f".{HOST}",), f"not{HOST}", 400),
        ((HOST,), f"{HOST}:8443", 200),
        ((HOST,), f"{HOST}.{FOREIGN}", 400),
        ((HOST, "127.0.0.1"), "127.0.0.1:8000", 200),
        ((HOST,), "[::1]", 400),
    ),
    ids=str,
)
def test_images_and_pages_agree(serve, trusted, host, status):
    """Whatever is trusted, and by whichever name one asks: what the pages answer to, the images do."""
    client, record = serve(trusted_hosts=trusted)

    assert [answer.status_code for answer in ask(client, record, host)] == [status] * 3


@pytest.mark.parametrize("forwarded", (HOST, FOREIGN))
def test_behind_a_proxy_the_forwarded_name_counts(serve, forwarded):
    """Behind a proxy the name by which the browser asked is checked, for images as for pages."""
    client, record = serve(trusted_hosts=(HOST,), proxy_hops=1)

    answers = ask(client, record, "10.0.0.7", **{"X-Forwarded-Host": forwarded})

    assert [answer.status_code for answer in answers] == [200 if forwarded == HOST else 400] * 3


def test_without_a_proxy_no_forwarded_name_counts(serve):
    """A client that claims to come by a trusted name is not believed."""
    client, record = serve(trusted_hosts=(HOST,))

    answers = ask(client, record, FOREIGN, **{"X-Forwarded-Host": HOST})

    assert [answer.status_code for answer in answers] == [400] * 3
