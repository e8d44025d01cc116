"""BMP: reads its header, and refuses large pictures that are packed as runs, which take long to unpack."""

from pixstore.structure import too_costly

_RUN_LENGTHS = (1, 2)
_MOST_RUNS = 256 * 2**10
"""Bytes. Pillow unpacks runs in Python, one step for each run."""


def check(data: bytes) -> None:
    """
    Check the header of *data*.

    Raises:
        ImageRejected: If the pixels are packed as runs and the file is larger than ``_MOST_RUNS``.
    """
    has_packing = int.from_bytes(data[14:18], "little") >= 40
    packing = int.from_bytes(data[30:34], "little") if has_packing else 0
    if packing in _RUN_LENGTHS and len(data) > _MOST_RUNS:
        raise too_costly(f"a BMP packed as runs may have no more than {_MOST_RUNS // 2**10} KiB")
