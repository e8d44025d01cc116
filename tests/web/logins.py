"""Logging in with any password, and changing one's own."""

from tests.gallery_client import PASSWORD

NEW_PASSWORD = "another good phrase"


def attempt(client, name, password):
    """Try to log in."""
    return client.post("/login", {"name": name, "password": password})


def change_password(client, **fields):
    """Send the form that changes one's own password."""
    form = {"current": PASSWORD, "password": NEW_PASSWORD, "repeated": NEW_PASSWORD, **fields}
    return client.post("/account/password", form)
