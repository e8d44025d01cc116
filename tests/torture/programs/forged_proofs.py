"""
Proofs that nobody issued: random ones, and real ones altered, for another image, of another time, in another form.

    python -m tests.torture.programs.forged_proofs '{"tries": 20000, "flipped": 20}'
"""

import base64
import random

from pixstore import proofs
from pixstore.ids import new_image_id
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded

WINDOW = 300_000
NOW = 1_800_000_000_000


def run(tries: int = 20_000, flipped: int = 20, seed: str | None = None) -> Outcome:
    """Try so many forged proofs, and every single-bit change of *flipped* real ones."""
    outcome = Outcome()
    chance = random.Random(7)
    with seeded(seed):
        judge = _Judge(chance, outcome)
        for _ in range(flipped):
            judge.every_bit()
        flips = outcome.amount
        for _ in range(tries):
            judge.forged()
    outcome.words = f"{tries} forged proofs, {flips} single bits of {flipped} others"
    return outcome


class _Judge:
    def __init__(self, chance: random.Random, outcome: Outcome) -> None:
        self._chance, self._outcome = chance, outcome
        self._key = chance.randbytes(32)
        self._ids = [new_image_id("people", chance.randbytes) for _ in range(50)]
        self._forgeries = (
            self._random,
            self._other_image,
            self._too_old,
            self._from_the_future,
            self._other_key,
            self._cut,
            self._longer,
            self._two_characters,
            self._other_alphabet,
            self._no_text,
        )

    def every_bit(self) -> None:
        """Change each bit of the text of a real proof, and each bit of what it encodes."""
        image_id = self._id()
        real = self._issued(image_id, NOW)
        for bit in range(len(real) * 7):
            self._try(image_id, _with_bit(real.encode(), bit, width=7).decode("ascii"))
        raw = base64.b64decode(real)
        for bit in range(len(raw) * 8):
            self._try(image_id, base64.b64encode(_with_bit(raw, bit, width=8)).decode())

    def forged(self) -> None:
        """Try one forgery of a random kind."""
        image_id = self._id()
        self._try(image_id, self._chance.choice(self._forgeries)(image_id))

    def _try(self, image_id: str, proof: object) -> None:
        self._outcome.amount += 1
        try:
            accepted = proofs.verify(proof, image_id, key=self._key, now=NOW, window_length=WINDOW)
        except Exception as error:  # noqa: BLE001 - hostile input must not get further than a refusal
            self._outcome.anomalies.append(f"{type(error).__name__}: {error}")
            return
        if accepted:
            self._outcome.anomalies.append("a forged proof was accepted")

    def _issued(self, image_id: str, now: int) -> str:
        return proofs.issue(image_id, key=self._key, now=now, window_length=WINDOW)

    def _id(self) -> str:
        return self._chance.choice(self._ids)

    def _random(self, image_id: str) -> str:
        return base64.b64encode(self._chance.randbytes(self._chance.choice((15, 16, 16, 16, 17)))).decode()

    def _other_image(self, image_id: str) -> str:
        return self._issued(self._chance.choice([other for other in self._ids if other != image_id]), NOW)

    def _too_old(self, image_id: str) -> str:
        return self._issued(image_id, NOW - self._chance.randrange(2, 100_000) * WINDOW)

    def _from_the_future(self, image_id: str) -> str:
        return self._issued(image_id, NOW + self._chance.randrange(1, 100_000) * WINDOW)

    def _other_key(self, image_id: str) -> str:
        return proofs.issue(image_id, key=self._chance.randbytes(32), now=NOW, window_length=WINDOW)

    def _cut(self, image_id: str) -> str:
        return self._issued(image_id, NOW)[: self._chance.randrange(0, 24)]

    def _longer(self, image_id: str) -> str:
        return self._issued(image_id, NOW) + self._chance.choice(("=", "\0", " ", "\n", "A", "%00"))

    def _two_characters(self, image_id: str) -> str:
        real = list(self._issued(image_id, NOW))
        first, second = self._chance.sample(range(22), 2)
        real[first], real[second] = self._another(real[first]), self._another(real[second])
        return "".join(real)

    def _other_alphabet(self, image_id: str) -> str:
        real = self._issued(image_id, NOW)
        return self._chance.choice((real.rstrip("="), real.swapcase(), " " + real, real.replace("=", "_")))

    def _no_text(self, image_id: str) -> object:
        return self._chance.choice(
            (None, 0, True, [], {}, self._issued(image_id, NOW).encode(), "é" * 24, "\ud800")
        )

    def _another(self, character: str) -> str:
        return self._chance.choice("ABCDEFGHabcdefgh0123456789+/".replace(character, ""))


def _with_bit(data: bytes, bit: int, *, width: int) -> bytes:
    at = bit // width
    return data[:at] + bytes((data[at] ^ 1 << bit % width,)) + data[at + 1 :]


if __name__ == "__main__":
    main(run)
