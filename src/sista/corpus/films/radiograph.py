"""Radiograph pixels: reading a film as it was released, making it small, encoding it for the corpus."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile

from sista.corpus.films.pixels import jpeg_draft, luminance, strips
from sista.corpus.study import StudyRefused

MAX_PIXELS = 100_000_000  # a 10,000 x 10,000 film; the largest detectors give some 4,300 x 3,500
MAX_DEEP = 50_000_000  # samples of a PNG with several channels of 16 bits, which torchvision decodes: torch alone takes 0.7 GB
MAX_SCANS = 200  # of a progressive JPEG; encoders write some ten
TURNS = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = 5  # from here on width and height change places
_DAMAGED = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error)  # what PIL raises
WINDOW = (0.5, 99.5)  # percentiles of a film with more than 8 bits that become black and white


@dataclass(frozen=True)
class Display:
    """How a DICOM film is to be shown; other formats have nothing to choose.

    window: "first" (the first VOI LUT or window of the header, by percentile where it has none and more than 8 bits), a number from 0
    among its VOI LUTs and then its windows, "percentile" (0.5 and 99.5 become black and white), or "none" (modality values, up to 16 bits).
    frame: which frame of a multi-frame film, from 0; None refuses such a film.
    """

    window: str | int = "first"
    frame: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.window, str) and self.window not in ("first", "percentile", "none"):
            raise ValueError(f"window {self.window!r}: expected 'first', 'percentile', 'none' or a number from 0")


@dataclass(frozen=True)
class Radiograph:
    """Pixels [H, W] (uint8 or uint16, bright = dense) and the width and height of the source, before any reduction while reading.

    Of DICOM also: the (row, column) spacing of the source's pixels in mm and which element said so, the photometric interpretation that
    was handled, the bits stored, the window used in words, the transfer syntax, the number of frames, and the white-listed text fields
    (`sista.corpus.films.dicom_header.WHITE_LIST`). Nothing else of a header leaves the reader. None and empty for other formats.
    """

    pixels: np.ndarray
    source_width: int
    source_height: int
    pixel_spacing: tuple[float, float] | None = None
    pixel_spacing_from: str | None = None
    photometric: str | None = None
    bits: int | None = None
    window: str | None = None
    transfer_syntax: str | None = None
    frames: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def read_radiograph(source: Path | np.ndarray, display: Display = Display()) -> np.ndarray:
    """The gray pixels of a film [H, W], uint8 or uint16, at full size.

    Colour becomes luminance, a palette is looked up, transparency lies on black. Raises `StudyRefused` naming the file when it is missing,
    empty, truncated, of an unknown format, or larger than `MAX_PIXELS`.
    """
    return open_radiograph(source, None, display).pixels


def open_radiograph(source: Path | np.ndarray, size: int | None = None, display: Display = Display()) -> Radiograph:
    """Like `read_radiograph`, with the source's width and height and, of DICOM, what its pixels mean.

    With `size`, the long side that the film will have, a JPEG much larger than that is decoded at 1/2, 1/4 or 1/8 by its DCT, never below
    5/4 of the final film; DICOM is averaged in whole boxes before windowing where its display is a line (docs/films.md).
    """
    if isinstance(source, np.ndarray):
        if source.ndim != 2 or source.dtype not in (np.uint8, np.uint16) or not source.size:
            raise StudyRefused(f"unusable pixels: expected a 2-D uint8 or uint16 array, got {source.dtype} of shape {source.shape}")
        return Radiograph(source, source.shape[1], source.shape[0])
    from sista.corpus.films.dicom import looks_like_dicom

    source = Path(source)
    try:
        with source.open("rb") as file:
            head = file.read(132)
            if not head:
                raise StudyRefused(f"empty file: {source}")
            file.seek(0)
            for offset, signature, read in READERS:
                if head[offset : offset + len(signature)] == signature:
                    return read(file, source, size, display)
            if looks_like_dicom(head):
                return _read_dicom(file, source, size, display)
    except FileNotFoundError:
        other = Path(str(source).replace("\\", "/"))
        hint = " (it is there with / in the place of \\)" if other != source and other.is_file() else ""
        raise StudyRefused(f"no such file: {source}{hint}") from None
    except OSError as error:
        raise StudyRefused(f"unreadable file: {source} ({error.strerror or error})") from None
    raise StudyRefused(f"unknown image format: {source} (expected DICOM, JPEG or PNG; convert it first)")


def _read_picture(file: BinaryIO, source: Path, size: int | None, display: Display) -> Radiograph:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=("JPEG", "PNG"))
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise StudyRefused(f"too many pixels: {source} ({width} x {height}, at most {MAX_PIXELS:,})")
            if image.format == "JPEG":
                _check_scans(image, file, source)
                image.draft("L", jpeg_draft(width, height, size))
            deep = _deep_channels(image) if image.format == "PNG" else 0
            if width * height * deep > MAX_DEEP:
                raise StudyRefused(f"too many pixels: {source} ({width} x {height} x {deep} of 16 bit, at most {MAX_DEEP:,} samples)")
            image.load()
            turn = orientation(image)
            if deep:
                del image  # its pixels are not held beside those that are read now
                shown = _as_shown(Image.fromarray(_deep_gray(file)), turn)
            else:
                shown = _as_shown(image, turn)
            return Radiograph(_gray(shown), *((height, width) if turn >= SIDEWAYS else (width, height)))
    except Image.DecompressionBombError:
        raise StudyRefused(f"too many pixels: {source} (at most {MAX_PIXELS:,})") from None
    except MemoryError:
        raise StudyRefused(f"out of memory: {source}") from None
    except (*_DAMAGED, OverflowError, EOFError, RuntimeError) as error:
        raise StudyRefused(f"unreadable image: {source} ({' '.join(str(error).split())[:160] or type(error).__name__})") from None


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, as stored, also where it is damaged."""
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except _DAMAGED:
        return 1
    return found if found in range(1, 9) else 1


def _as_shown(image: Image.Image, turn: int) -> Image.Image:
    """Turned as viewers turn it, and as who wrote the report or drew the boxes has seen it."""
    if turn == 1:
        return image
    turned = image.transpose(TURNS[turn])
    turned.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return turned


def _check_scans(image: Image.Image, file: BinaryIO, source: Path) -> None:
    """A progressive JPEG keeps all coefficients (2 bytes each) and goes over the whole film once a scan: both are bounded."""
    if not image.info.get("progressive"):
        return
    width, height = image.size
    if width * height * len(image.getbands()) > 3 * MAX_PIXELS:
        raise StudyRefused(f"too many pixels: {source} (progressive JPEG of {width} x {height} x {len(image.getbands())})")
    here = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(here)
    if scans > MAX_SCANS:
        raise StudyRefused(f"decompression bomb: {source} (JPEG of {scans} scans, at most {MAX_SCANS})")


def _deep_channels(image: ImageFile) -> int:
    """How many channels of 16 bits a PNG has that is not decoded yet, if several, of which PIL would keep the upper 8; else 0."""
    return max((len(str(tile[3])) - 4 for tile in image.tile if str(tile[3]) in ("LA;16B", "RGB;16B", "RGBA;16B")), default=0)


def _deep_gray(file: BinaryIO) -> np.ndarray:
    """uint16 [H, W] of a PNG with several channels of 16 bits; what is transparent lies on black."""
    import torch
    from torchvision.io import ImageReadMode, decode_png

    file.seek(0)
    encoded = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    channels = decode_png(encoded, ImageReadMode.UNCHANGED).numpy()
    gray = channels[0] if len(channels) < 3 else luminance(channels[:3].transpose(1, 2, 0))
    if len(channels) in (2, 4):
        for rows in strips(gray):
            gray[rows] = np.rint(gray[rows] * (channels[-1][rows] / np.float64(65535)))
    return gray


def _gray(image: Image.Image) -> np.ndarray:
    """Gray of any PIL mode, strip by strip, so that no second copy of a colour film is held."""
    if image.mode == "L" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16, copy=False)
    width, height = image.size
    deep = image.mode.startswith("I")
    gray = np.empty((height, width), dtype=np.uint16 if deep else np.uint8)
    for rows in strips(gray):
        strip = image.crop((0, rows.start, width, rows.stop))
        strip.info = image.info  # the transparent colour
        if deep:
            gray[rows] = np.clip(np.asarray(strip), 0, 65535)
            continue
        if "A" in strip.mode or "transparency" in image.info:
            strip = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, (0, 0, 0, 255)), strip)
        gray[rows] = np.asarray(strip.convert("RGB").convert("L"))
    return gray


def _read_dicom(file: BinaryIO, source: Path, size: int | None, display: Display) -> Radiograph:
    from sista.corpus.films.dicom import read_dicom

    return read_dicom(file, source, size, display)


Reader = Callable[[BinaryIO, Path, int | None, Display], Radiograph]
READERS: list[tuple[int, bytes, Reader]] = [
    (128, b"DICM", _read_dicom),
    (0, b"\xff\xd8\xff", _read_picture),
    (0, b"\x89PNG\r\n\x1a\n", _read_picture),
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
    """A boolean mask at another size, a pixel kept where at least half of what it covers was set; where none is, the fullest ones, so that
    what was drawn thin does not vanish."""
    image = Image.fromarray(np.asarray(mask, dtype=np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    kept = np.asarray(image) >= 128
    if not kept.any() and np.any(mask):
        covered = np.asarray(Image.fromarray(np.asarray(mask, dtype=np.float32)).resize((width, height), Image.Resampling.BOX))
        return covered == covered.max()
    return kept


IMAGE_FORMATS = ("jpeg", "png", "pgm")


def encode_film(pixels: np.ndarray, image_format: str = "jpeg") -> bytes:
    """An 8-bit film as JPEG (quality 95), PNG (lossless) or PGM (as it is); equal pixels, equal bytes. Boolean masks become 1-bit PNG."""
    buffer = io.BytesIO()
    if pixels.dtype == bool:
        Image.fromarray(pixels).save(buffer, "PNG", optimize=False)
    elif image_format == "png":
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    elif image_format == "jpeg":
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    elif image_format == "pgm":
        buffer.write(b"P5\n%d %d\n255\n" % pixels.shape[::-1])
        buffer.write(pixels.astype(np.uint8).tobytes())
    else:
        raise ValueError(f"image_format {image_format!r}: expected one of {', '.join(IMAGE_FORMATS)}")
    return buffer.getvalue()


def decode_film(data: bytes | memoryview) -> np.ndarray:
    """The pixels [H, W] of an encoded film (uint8) or mask (bool). Those of a PGM are a view of `data`."""
    if data[:3] == b"P5\n":
        header = bytes(data[:32]).split(b"\n", 3)
        width, height = map(int, header[1].split())
        start = sum(map(len, header[:3])) + 3
        if len(data) != start + width * height:
            raise OSError(f"{len(data) - start} bytes for {width} x {height} pixels")
        return np.frombuffer(data, np.uint8, width * height, start).reshape(height, width)
    return np.asarray(Image.open(io.BytesIO(data)))
