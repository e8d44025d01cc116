"""
Backups that somebody has altered: every table, the description, the seal, the keyring, the blobs, and parts of older backups.

Each is restored into an empty place. It must be refused, and nothing be put in place; or what is restored must be what was backed
up, row by row, where an image that was damaged is named. No login, no attempt to log in and no set-up link comes back.

    python -m tests.torture.programs.altered_backups '{"alterations": 500}'
"""

import base64
import json
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from app import create_app
from pixstore.config import Config
from pixstore.errors import PixstoreError
from pixstore.gallery import Gallery, accounts, albums, pictures, setup_link
from pixstore.gallery.cli import companion
from pixstore.keyring import Keyring
from pixstore.maintenance import backup_files
from pixstore.maintenance.backup import backup
from pixstore.maintenance.backup_files import INCOMPLETE_MANIFEST, MANIFEST
from pixstore.maintenance.restore import restore
from pixstore.store import ImageStore
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import jpeg
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import quiet_store, settings_of

LOGINS = ("gallery_login_session", "gallery_login_attempt", "gallery_setup_link")
PICTURES = 3

Content = dict[str, list[tuple[Any, ...]]]


def run(alterations: int = 500, seed: str | None = None) -> Outcome:
    """Alter a backup in so many ways, one at a time, and restore it."""
    outcome = Outcome(alterations)
    with tempfile.TemporaryDirectory() as place, seeded(seed):
        trial = _Trial(Path(place))
        for number in range(alterations):
            outcome.anomalies += [f"alteration {number}: {words}" for words in trial.restore_altered(number)]
    outcome.words = f"{alterations} alterations, {trial.refused} refused, {trial.restored} restored unchanged"
    outcome.figures = dict(trial.kinds)
    return outcome


class _Trial:
    def __init__(self, place: Path) -> None:
        self.refused = self.restored = 0
        self.kinds: Counter[str] = Counter()
        self._place, self._key = place, place / "data" / "master.key"
        app = create_app(Config(data_dir=place / "data"))
        self._gallery: Gallery = app.extensions["pixstore.gallery"]
        with closing(self._gallery.store), self._gallery.store.connected():
            self._fill(app)
        self._content = _content(_snapshot(place / "backup"))
        self._alterations: list[Callable[[_Altered], None]] = [
            _Altered.flip_in_manifest,
            _Altered.change_manifest,
            _Altered.seal_with_another_key,
            _Altered.take_older_manifest,
            _Altered.flip_in_database,
            _Altered.cut_database,
            *[_Altered.change_a_row] * 6,
            _Altered.remove_a_row,
            _Altered.repeat_a_login,
            _Altered.flip_in_keyring,
            _Altered.take_older_keyring,
            _Altered.damage_a_blob,
            _Altered.exchange_blobs,
            _Altered.call_it_incomplete,
            _Altered.call_it_the_first_release,
        ]

    def _fill(self, app: Any) -> None:
        """Make accounts, pictures, logins, an attempt and a set-up link; back up, change something, and back up again."""
        store = self._gallery.store
        setup_link.issue(self._gallery)
        for name in ("anna", "ben"):
            user = accounts.create_user(self._gallery, name, PASSWORD)
            for number in range(PICTURES):
                album = albums.default_album(self._gallery, user)
                pictures.add_picture(self._gallery, user, album, jpeg(seed=number), file_name=f"{number}.jpg")
        GalleryClient(app).logs_in("anna")
        self._gallery.models.login_attempt.create(subject="0" * 64, at=self._gallery.now())
        self._excluded = companion(self._gallery).tables_not_backed_up
        backup(store, self._place / "older", without_rows_of=self._excluded)
        store.save(jpeg(seed=9))
        backup(store, self._place / "backup", without_rows_of=self._excluded)
        self._images = {
            row.id: store.load(row.id) for row in store.parts.models.image.select(store.parts.models.image.id)
        }

    def restore_altered(self, number: int) -> list[str]:
        """Alter a copy of the backup, restore it, and return what is wrong then."""
        chance = random.Random(number)
        copy, target = self._place / "copy", self._place / "target"
        for path in (copy, target):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self._place / "backup", copy)
        target.mkdir()
        alteration = self._alterations[number % len(self._alterations)]
        alteration(_Altered(copy, self._place / "older", chance))
        name = alteration.__name__.replace("_", " ")
        self.kinds[name] += 1
        config = settings_of(target, master_key_file=self._key)
        is_incomplete = (copy / INCOMPLETE_MANIFEST).exists() and chance.random() < 0.5
        try:
            report = restore(config, copy, without_rows_of=self._excluded, incomplete=is_incomplete)
        except PixstoreError:
            self.refused += 1
            left = sorted(path.name for path in target.rglob("*") if path.is_file())
            return [f"{name}: refused, and {left} was put in place"] if left else []
        except Exception as error:  # noqa: BLE001 - every error is an anomaly
            return [f"{name}: {type(error).__name__}: {error}"]
        self.restored += 1
        named = {finding.image_id for finding in report.findings}
        return [f"{name}: {words}" for words in self._wrong(config, named)]

    def _wrong(self, config: Config, named: set[str | None]) -> list[str]:
        """Return what was restored and is not what was backed up."""
        content = _content(config.sqlite_path)
        found = [f"rows of {table} came back" for table in LOGINS if content.get(table)]
        found += [
            f"{table} is another" for table in self._content if content.get(table) != self._content[table]
        ]
        with closing(quiet_store(config.data_dir, master_key_file=self._key)) as store:
            found += [f"an image {words}" for i in self._images if (words := self._fault(store, i, named))]
        return found

    def _fault(self, store: ImageStore, image_id: str, named: set[str | None]) -> str | None:
        try:
            return None if store.load(image_id) == self._images[image_id] else "is another"
        except PixstoreError as error:
            return None if image_id in named else f"does not open, and nobody was told: {error}"


class _Altered:
    """A copy of a backup, and what somebody may do to it who does not have the master key."""

    def __init__(self, copy: Path, older: Path, chance: random.Random) -> None:
        self._copy, self._older, self._chance = copy, older, chance
        self._manifest, self._database = copy / MANIFEST, _snapshot(copy)

    # --- the description

    def flip_in_manifest(self) -> None:
        """Flip one bit."""
        self._flip(self._manifest)

    def change_manifest(self) -> None:
        """Give one field another value."""
        document = json.loads(self._manifest.read_bytes())
        name = self._chance.choice(sorted(document))
        other = self._chance.choice((None, 0, "", "x", [], document[self._chance.choice(sorted(document))]))
        if other == document[name]:
            other = f"not {other}"
        self._manifest.write_text(json.dumps({**document, name: other}))

    def seal_with_another_key(self) -> None:
        """Alter the database, and seal it with a key of one's own."""
        self.change_a_row()
        document = json.loads(self._manifest.read_bytes())
        document["sha256"] = backup_files.file_digest(self._database)
        document["seal"] = backup_files._seal(document, Keyring.create(now=0))
        self._manifest.write_text(json.dumps(document))

    def take_older_manifest(self) -> None:
        """Take the description of an older backup, and sometimes more of it."""
        shutil.copy(self._older / MANIFEST, self._manifest)
        name = json.loads(self._manifest.read_bytes())["database"]
        if self._chance.random() < 0.5:
            self._database.rename(self._copy / name)

    # --- the database

    def flip_in_database(self) -> None:
        """Flip one bit, wherever it is."""
        self._flip(self._database)

    def cut_database(self) -> None:
        """Take away the end, or add something to it."""
        content = self._database.read_bytes()
        end = self._chance.randrange(len(content))
        self._database.write_bytes(content[:end] if self._chance.random() < 0.5 else content + content[:end])

    def change_a_row(self) -> None:
        """Give one column of one row another value: sometimes that of another row."""
        with closing(sqlite3.connect(self._database)) as database, database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            table = self._chance.choice(_filled_tables(database))
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
            column = self._chance.choice(columns)
            rows = list(database.execute(f'SELECT rowid, "{column}" FROM "{table}"'))
            rowid, value = self._chance.choice(rows)
            other = self._other(value, [value for _, value in rows])
            database.execute(
                f'UPDATE OR REPLACE "{table}" SET "{column}" = ? WHERE rowid = ?', (other, rowid)
            )

    def remove_a_row(self) -> None:
        """Take a row away."""
        with closing(sqlite3.connect(self._database)) as database, database:
            table = self._chance.choice(_filled_tables(database))
            database.execute(f'DELETE FROM "{table}" WHERE rowid = (SELECT max(rowid) FROM "{table}")')

    def repeat_a_login(self) -> None:
        """Put a login of one's own into the database."""
        with closing(sqlite3.connect(self._database)) as database, database:
            user_id = database.execute("SELECT id FROM gallery_user").fetchone()[0]
            database.execute(
                "INSERT INTO gallery_login_session (id_hash, user_id, created_at, expires_at) VALUES (?, ?, 0, ?)",
                ("0" * 64, user_id, 2**50),
            )

    # --- the keyring and the blobs

    def flip_in_keyring(self) -> None:
        """Flip one bit of the keyring."""
        self._flip(next((self._copy / "blobs" / "keyring").glob("*.json")))

    def take_older_keyring(self) -> None:
        """Put another keyring under the name of this one: that of somebody else, with a key of his own."""
        path = next((self._copy / "blobs" / "keyring").glob("*.json"))
        path.write_bytes(Keyring.create(now=0).to_json(bytes(32)))

    def damage_a_blob(self) -> None:
        """Flip a bit of a blob, cut it, or take it away."""
        path = self._chance.choice(self._blobs())
        kind = self._chance.randrange(4)
        if kind == 0:
            path.unlink()
        elif kind == 1:
            path.write_bytes(path.read_bytes()[: self._chance.randrange(1000)])
        else:
            self._flip(path)

    def exchange_blobs(self) -> None:
        """Put one blob in the place of another."""
        one, other = self._chance.sample(self._blobs(), 2)
        other.write_bytes(one.read_bytes())

    # --- what the backup is

    def call_it_incomplete(self) -> None:
        """Let the description be that of an incomplete backup, of a database that was altered."""
        if self._chance.random() < 0.5:
            self.change_a_row()
        self._manifest.rename(self._copy / INCOMPLETE_MANIFEST)

    def call_it_the_first_release(self) -> None:
        """Let it look like a backup of release 0.1, which had no seal."""
        self.change_a_row()
        self._manifest.unlink()
        self._database.rename(self._copy / "pixstore.sqlite")
        shutil.copy(next((self._copy / "blobs" / "keyring").glob("*.json")), self._copy / "keyring.json")

    # --- parts of the above

    def _blobs(self) -> list[Path]:
        return sorted(path for path in (self._copy / "blobs" / "objects").rglob("*") if path.is_file())

    def _flip(self, path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[self._chance.randrange(len(content))] ^= 1 << self._chance.randrange(8)
        path.write_bytes(content)

    def _other(self, value: Any, others: list[Any]) -> Any:
        """Return another value than *value*."""
        different = [other for other in others if other != value]
        if different and self._chance.random() < 0.4:
            return self._chance.choice(different)
        if isinstance(value, int):
            return value + self._chance.choice((1, -1, 2**40))
        if isinstance(value, bytes) and value:
            at = self._chance.randrange(len(value))
            return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        return f"{value}{base64.b32encode(self._chance.randbytes(2)).decode()}"


def _snapshot(directory: Path) -> Path:
    return directory / str(json.loads((directory / MANIFEST).read_bytes())["database"])


def _filled_tables(database: sqlite3.Connection) -> list[str]:
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [name for name in sorted(names) if database.execute(f'SELECT 1 FROM "{name}"').fetchone()]


def _content(path: Path) -> Content:
    """Return every row of every table."""
    with closing(sqlite3.connect(path)) as database:
        return {
            name: sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr)
            for name in _filled_tables(database)
        }


if __name__ == "__main__":
    main(run)
