"""TensorFlow's ``.tfrecord`` files without TensorFlow: every record's bytes, checksums verified.

A record is its length (uint64), the checksum of that, its bytes, and the checksum of those, all
little-endian. A checksum is CRC-32C, rotated and shifted by a constant ("masked").
"""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from weaknas_jax.storage.npz import TableError

INSTALL = "pip install -e '.[tfrecord]' (it adds google-crc32c, which is small)"
_HEADER, _SUM = struct.Struct("<QI"), struct.Struct("<I")
_BUFFER = 1 << 20  # bytes read at once


def records(path: str | os.PathLike) -> Iterator[bytes]:
    """The records of a file, one after another; one is in memory at a time.

    Raises:
      TableError: google-crc32c is missing; the file cannot be read, is truncated, or is damaged,
        with the record's number from 0, and where it begins.
    """
    checksum, number, at = _checksum(), 0, 0

    def bad(why: str) -> TableError:
        return TableError(f"{path}: record {number} at byte {at}: {why}; download it again")

    try:
        with open(path, "rb", _BUFFER) as file:
            size = os.fstat(file.fileno()).st_size
            while header := file.read(_HEADER.size):
                if len(header) < _HEADER.size:
                    raise bad("the file ends within its length")
                length, stated = _HEADER.unpack(header)
                if checksum(header[:8]) != stated:
                    raise bad("its length and the checksum of that disagree")
                if length + _SUM.size > size - at - _HEADER.size:
                    raise bad(f"the file ends before its {length} bytes and their checksum do")
                record, stated = file.read(length), file.read(_SUM.size)
                if _SUM.pack(checksum(record)) != stated:
                    raise bad("its bytes and their checksum disagree")
                yield record
                number, at = number + 1, file.tell()
    except OSError as error:
        raise TableError(f"{Path(path)}: cannot be read ({error.strerror})") from None


def begins(head: bytes) -> bool:
    """Whether bytes are the start of a file of records, the first of them below 16 MiB.

    Raises:
      TableError: it may be one, but google-crc32c, which verifies it, is missing.
    """
    if len(head) < _HEADER.size or any(head[3:8]):
        return False
    return _checksum()(head[:8]) == _HEADER.unpack_from(head)[1]


def _checksum() -> Callable[[bytes], int]:
    try:
        from google_crc32c import value as crc32c
    except ImportError:
        raise TableError(f"reading a .tfrecord needs google-crc32c: {INSTALL}") from None

    def masked(data: bytes) -> int:
        plain = crc32c(data)
        return (plain >> 15 | plain << 17) + 0xA282EAD8 & 0xFFFFFFFF

    return masked
