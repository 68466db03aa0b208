"""What a compressed frame says of its own size, read before any codec allocates for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_TILES = 4096  # of JPEG 2000; OpenJPEG keeps some 6 kB for each
MAX_PACKETS = 4_000_000  # precincts x layers of JPEG 2000
MAX_SCANS = 200  # of a progressive JPEG


@dataclass(frozen=True)
class Codestream:
    """Width and height in pixels, components, bits of a sample, and for progressive JPEG the number of scans."""

    width: int
    height: int
    components: int
    bits: int
    scans: int = 1


def read_codestream(data: bytes) -> Codestream:
    """The size of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream; raises ValueError when it has no readable header."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    start = data[:4096].find(b"\xff\x4f\xff\x51")
    if start >= 0:
        return _jpeg2000(data, start)
    raise ValueError("no JPEG or JPEG 2000 codestream in the frame")


def _jpeg(data: bytes) -> Codestream:
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            raise ValueError("broken JPEG header")
        marker = data[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD7 or marker == 0x01:
            at += 1 if marker == 0xFF else 2
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            scans = data.count(b"\xff\xda") if marker in (0xC2, 0xC6, 0xCA, 0xCE) else 1
            return Codestream(width, height, data[at + 9], data[at + 4], scans)
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    raise ValueError("JPEG without a frame header")


def _jpeg2000(data: bytes, start: int) -> Codestream:
    size = data[start + 4 : start + 42]
    if len(size) < 38:
        raise ValueError("JPEG 2000 without a size")
    x1, y1, x0, y0, tile_width, tile_height, tile_x, tile_y = (int.from_bytes(size[at : at + 4], "big") for at in range(4, 36, 4))
    components = int.from_bytes(size[36:38], "big")
    if not (x0 < x1 and y0 < y1 and tile_width and tile_height and tile_x <= x0 and tile_y <= y0 and 1 <= components <= 4):
        raise ValueError("JPEG 2000 with an impossible size")
    tiles = -(-(x1 - tile_x) // tile_width) * -(-(y1 - tile_y) // tile_height)
    if tiles > MAX_TILES:
        raise ValueError(f"JPEG 2000 of {tiles:,} tiles")
    width, height = x1 - x0, y1 - y0
    _check_packets(data[start:], width, height, components, tiles)
    bits = (data[start + 42] & 0x7F) + 1 if len(data) > start + 42 else 0
    return Codestream(width, height, components, bits)


def _check_packets(data: bytes, width: int, height: int, components: int, tiles: int) -> None:
    """Refuse a coding style whose packets (layers x precincts) would fill the memory before the first sample is decoded."""
    at = data[:65536].find(b"\xff\x52", 40)
    style = data[at : at + 14 + 33]
    if at < 0 or len(style) < 14:
        raise ValueError("JPEG 2000 without a coding style")
    layers, levels = int.from_bytes(style[6:8], "big"), style[9]
    if levels > 32:
        raise ValueError(f"JPEG 2000 of {levels} decomposition levels")
    precincts = 0
    for resolution in range(levels + 1):
        size = style[14 + resolution] if style[4] & 1 and 14 + resolution < len(style) else 0xFF
        across = math.ceil(width / 2 ** (levels - resolution + (size & 15)))
        down = math.ceil(height / 2 ** (levels - resolution + (size >> 4)))
        precincts += max(across * down, tiles)
    if precincts * layers * components > MAX_PACKETS:
        raise ValueError(f"JPEG 2000 of {precincts * layers * components:,} packets")
