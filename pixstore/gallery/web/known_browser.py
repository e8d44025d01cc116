"""The device cookie of a browser that has logged in before. ``devices`` makes and reads its value."""

from datetime import timedelta

from flask import after_this_request, current_app, request
from werkzeug.wrappers import Response

from pixstore.gallery import devices
from pixstore.gallery.models import User
from pixstore.gallery.web.access import get_gallery

LIFETIME = timedelta(days=365)


def device_of(user: User | None) -> str | None:
    """Return the device id of this browser if *user* has logged in with it before, or ``None``."""
    return None if user is None else devices.recognize(get_gallery(), user, _sent())


def remember(user: User) -> None:
    """Remember in the cookie that *user* has logged in with this browser."""
    _answer_with(devices.remember(get_gallery(), user, _sent()))


def forget(user: User) -> None:
    """Remove *user*, whose account is deleted, from the cookie."""
    _answer_with(devices.forget(user, _sent()))


def _sent() -> str:
    return request.cookies.get(_name(), "")


def _name() -> str:
    return f"{current_app.config['SESSION_COOKIE_NAME']}-device"


def _answer_with(value: str) -> None:
    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            _name(),
            value,
            max_age=LIFETIME if value else 0,
            httponly=True,
            samesite="Lax",
            secure=current_app.config["SESSION_COOKIE_SECURE"],
        )
        return response
