"""Radiograph pixels: reading a film as it was released, making it small, encoding it for the corpus."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from sista.corpus.study import StudyRefused

MAX_PIXELS = 100_000_000  # a 10,000 x 10,000 film; the largest detectors give some 4,300 x 3,500
WINDOW = (0.5, 99.5)  # percentiles of a film with more than 8 bits that become black and white


@dataclass(frozen=True)
class Radiograph:
    """Pixels [H, W] (uint8 or uint16, bright = dense) and the width and height of the source, before any reduction while reading."""

    pixels: np.ndarray
    source_width: int
    source_height: int


def read_radiograph(source: Path | np.ndarray) -> np.ndarray:
    """The gray pixels of a film [H, W], uint8 or uint16, at full size.

    Colour becomes luminance, a palette is looked up, transparency lies on black. Raises `StudyRefused` naming the file when it is missing,
    empty, truncated, of an unknown format, or larger than `MAX_PIXELS`.
    """
    return open_radiograph(source).pixels


def open_radiograph(source: Path | np.ndarray, size: int | None = None) -> Radiograph:
    """Like `read_radiograph`, with the source's width and height.

    With `size`, a JPEG much larger than that is decoded at 1/2, 1/4 or 1/8 by its DCT, never below twice `size` on its short side.
    """
    if isinstance(source, np.ndarray):
        if source.ndim != 2 or source.dtype not in (np.uint8, np.uint16) or not source.size:
            raise StudyRefused(f"unusable pixels: expected a 2-D uint8 or uint16 array, got {source.dtype} of shape {source.shape}")
        return Radiograph(source, source.shape[1], source.shape[0])
    source = Path(source)
    try:
        with source.open("rb") as file:
            head = file.read(132)
            if not head:
                raise StudyRefused(f"empty file: {source}")
            file.seek(0)
            for offset, signature, read in READERS:
                if head[offset : offset + len(signature)] == signature:
                    return read(file, source, size)
    except FileNotFoundError:
        raise StudyRefused(f"no such file: {source}") from None
    except OSError as error:
        raise StudyRefused(f"unreadable file: {source} ({error.strerror or error})") from None
    raise StudyRefused(f"unknown image format: {source} (expected JPEG or PNG; convert it first)")


def _read_picture(file: BinaryIO, source: Path, size: int | None) -> Radiograph:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=("JPEG", "PNG"))
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise StudyRefused(f"too many pixels: {source} ({width} x {height}, at most {MAX_PIXELS:,})")
            if size is not None and image.format == "JPEG":
                image.draft("L", (2 * size, 2 * size))
            image.load()
    except Image.DecompressionBombError:
        raise StudyRefused(f"too many pixels: {source} (at most {MAX_PIXELS:,})") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise StudyRefused(f"unreadable image: {source} ({error})") from None
    return Radiograph(_gray(image), width, height)


def _gray(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit gray
        return np.clip(np.asarray(image, dtype=np.int64), 0, 65535).astype(np.uint16)
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.asarray(image if image.mode == "L" else image.convert("RGB").convert("L"), dtype=np.uint8)


def _refuse_dicom(file: BinaryIO, source: Path, size: int | None) -> Radiograph:
    raise StudyRefused(
        f"DICOM is not read yet: {source} (convert it to 8- or 16-bit PNG with its window and photometric interpretation applied)"
    )


Reader = Callable[[BinaryIO, Path, int | None], Radiograph]
READERS: list[tuple[int, bytes, Reader]] = [
    (0, b"\xff\xd8\xff", _read_picture),
    (0, b"\x89PNG\r\n\x1a\n", _read_picture),
    (128, b"DICM", _refuse_dicom),
]
"""(offset, signature, reader) by content, whatever the file is called; append to it to read another format."""


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """8-bit pixels: uint8 as it is; uint16 with its 0.5th percentile as black and its 99.5th as white, linear between."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, WINDOW)
    if high <= low:
        low, high = float(pixels.min()), float(max(pixels.max(), pixels.min() + 1))
    return np.rint(np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def resize_film(pixels: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """8-bit pixels with the long side `size`, aspect kept, antialiased (PIL bilinear, which averages); and new over old size.

    Boxes of the source times that scale are boxes of the result, to within the rounding of the short side.
    """
    pixels = to_uint8(pixels)
    height, width = pixels.shape
    scale = size / max(height, width)
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    if new == (width, height):
        return pixels, 1.0
    return np.asarray(Image.fromarray(pixels).resize(new, Image.Resampling.BILINEAR)), scale


def resize_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """A boolean mask at another size, a pixel kept where at least half of what it covers was set."""
    image = Image.fromarray(np.asarray(mask, dtype=np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image) >= 128


def encode_film(pixels: np.ndarray, image_format: str = "jpeg") -> bytes:
    """An 8-bit film as JPEG (quality 95) or PNG (lossless); equal pixels give equal bytes. Boolean masks become 1-bit PNG."""
    buffer = io.BytesIO()
    if pixels.dtype == bool:
        Image.fromarray(pixels).save(buffer, "PNG", optimize=False)
    elif image_format == "png":
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    elif image_format == "jpeg":
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    else:
        raise ValueError(f"image_format {image_format!r}: expected 'jpeg' or 'png'")
    return buffer.getvalue()


def decode_film(data: bytes | memoryview) -> np.ndarray:
    """The pixels [H, W] of an encoded film (uint8) or mask (bool)."""
    return np.asarray(Image.open(io.BytesIO(data)))
