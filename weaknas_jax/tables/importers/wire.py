"""Decodes Protocol Buffers messages into their wire fields, without a schema."""

import struct
from collections.abc import Iterator

from weaknas_jax.storage.npz import TableError

VARINT, DOUBLE, BYTES, _FOUR = 0, 1, 2, 5  # wire types; 3 and 4, groups, are long out of use


def fields(message: bytes) -> Iterator[tuple[int, int, int | float | bytes]]:
    """The fields of a message in their order: number, wire type and value.

    A value is an int for `VARINT`, a float for `DOUBLE`, whatever the eight bytes mean, and bytes
    for all else, such as texts and nested messages.

    Raises:
      TableError: these bytes are not a message.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
        else:
            size = 8 if kind == DOUBLE else 4
            if kind == BYTES:
                size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        if number == 0 or kind not in (VARINT, DOUBLE, BYTES, _FOUR) or at > end:
            raise TableError("not a protocol-buffer message, or a truncated one")
        yield number, kind, struct.unpack("<d", value)[0] if kind == DOUBLE else value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number stored as seven bits a byte, and the index after it."""
    if at < len(message) and message[at] < 128:  # as nearly all are
        return message[at], at + 1
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            if value >> 64:
                break
            return value, at + place + 1
    raise TableError("not a protocol-buffer message: a number in it does not end")
