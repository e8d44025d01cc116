"""
Every error of the gallery's own domain. This module imports nothing.

    GalleryError
    ├── NotThere             no such picture, album, account or link; or not yours, which looks the same
    ├── AlreadyThere         the account has this very file already
    ├── InvalidInput         a value of a form cannot be accepted     .field
    ├── AccountChanged       the account has changed since its password was checked
    ├── TooManyAttempts      wait before trying another password        .retry_after
    └── TooBusy              too many uploads at once                   .retry_after
"""


class GalleryError(Exception):
    """Anything the gallery refuses on purpose. The text may be shown to a user."""


class NotThere(GalleryError):
    """There is no such thing, or it belongs to somebody else."""


class AlreadyThere(GalleryError):
    """This very file is among the pictures already."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class InvalidInput(GalleryError):
    """A value of a form is not acceptable; *field* names the form field it came from."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class AccountChanged(GalleryError):
    """Your account has just been changed. Please log in again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class TooManyAttempts(GalleryError):
    """Too many wrong passwords; try again in *retry_after* seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts. Please wait {_in_words(retry_after)} and try again.")
        self.retry_after = retry_after


class TooBusy(GalleryError):
    """Too many uploads at once; try again in *retry_after* seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "The server is busy with other uploads, and nothing of this one was kept. "
            f"Please send it again in {retry_after} seconds."
        )
        self.retry_after = retry_after


def _in_words(seconds: int) -> str:
    amount, unit = (seconds, "second") if seconds < 100 else (-(-seconds // 60), "minute")
    return f"{amount} {unit}{'' if amount == 1 else 's'}"
