"""A gibibyte in a megabyte."""

import zlib

HEADER, LAST_BLOCK, CHECKSUM = b"\x78\x9c", b"\x03\x00", bytes(4)


def gibibyte() -> bytes:
    """A gibibyte of blanks as a zlib stream. One piece is packed and then repeated: that is quick to make."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return HEADER + piece * 1024 + LAST_BLOCK + CHECKSUM
