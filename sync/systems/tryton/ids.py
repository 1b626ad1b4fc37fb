"""A set of record numbers as a short text: what a stream has brought, so that what vanishes can be missed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import Self

HIGHEST = 20_000_000
"""A higher number is not kept track of: the text would grow without need."""


class IdSet:
    """Whole numbers from 0, as the bits of a packed text of about a bit each."""

    def __init__(self, bits: bytes | bytearray = b"") -> None:
        self._bits = bytearray(bits)

    @classmethod
    def of(cls, text: object) -> Self:
        """The set of a stored text; an empty one where it can't be read."""
        try:
            unpack = zlib.decompressobj()
            return cls(unpack.decompress(base64.b64decode(str(text or ""), validate=True), HIGHEST // 8 + 1))
        except (ValueError, zlib.error):
            return cls()

    @property
    def text(self) -> str:
        """The set as it is stored; empty for an empty set."""
        return base64.b64encode(zlib.compress(bytes(self._bits), 6)).decode("ascii") if any(self._bits) else ""

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()

    def add(self, numbers: Iterable[int]) -> None:
        """Takes numbers in."""
        for number in numbers:
            if not 0 <= number <= HIGHEST:
                continue
            byte, bit = divmod(number, 8)
            if byte >= len(self._bits):
                self._bits.extend(bytes(byte + 1 - len(self._bits)))
            self._bits[byte] |= 1 << bit

    def without(self, numbers: Iterable[int]) -> list[int]:
        """Those of the set that are not among `numbers`, ascending."""
        other = IdSet()
        other.add(numbers)
        left = int.from_bytes(self._bits, "little") & ~int.from_bytes(other._bits, "little")
        return [
            8 * at + bit for at, byte in enumerate(left.to_bytes(len(self._bits), "little")) if byte for bit in range(8) if byte >> bit & 1
        ]

    def drop(self, numbers: Iterable[int]) -> None:
        """Takes numbers out."""
        for number in numbers:
            byte, bit = divmod(number, 8)
            if 0 <= byte < len(self._bits):
                self._bits[byte] &= ~(1 << bit)
