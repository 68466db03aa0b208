"""The stored samples of one DICOM frame: sizes checked first, then decoded by pydicom with Pillow or OpenJPEG, or by GDCM."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sista.corpus.films.dicom_codestream import MAX_SCANS, read_codestream
from sista.corpus.films.dicom_header import Bounded, FilmHeader, known_name
from sista.corpus.films.pixels import jpeg_draft, luminance
from sista.corpus.study import StudyRefused

JPEG_8_BIT, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
RLE = "1.2.840.10008.1.2.5"
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
CODECS: dict[str, tuple[str, str, str]] = {
    JPEG_8_BIT: ("pillow", "PIL", "pillow"),
    JPEG_EXTENDED: ("pillow", "PIL", "pillow"),  # of 8 bits; of 12 by GDCM
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{last}" for last in (57, 70, 80, 81)), ("gdcm", "gdcm", "python-gdcm")),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{last}" for last in (90, 91, 201, 202, 203)), ("pylibjpeg", "openjpeg", "pylibjpeg-openjpeg")),
    RLE: ("pydicom", "pydicom", "pydicom"),
}
"""Transfer syntax -> decoder (pydicom's plugin, or GDCM in its helper), the module that it needs, and the package to install."""

LOSSY = {JPEG_8_BIT, JPEG_EXTENDED} | {f"1.2.840.10008.1.2.4.{last}" for last in (81, 91, 203)}


def stored_samples(header: FilmHeader, source: Path, frame: int, limit: int, factor_size: int | None = None) -> np.ndarray:
    """The decoded samples of frame number `frame` [H, W], int8, uint8, int16 or uint16, colour as luminance; nothing else applied.

    `limit` is the number of samples that a frame may have; compressed frames may have two fifths of it, because their codecs need
    several copies. With `factor_size` an 8-bit gray JPEG is decoded at a DCT scale, as `open_radiograph` does.
    """
    values = header.rows * header.columns * header.samples
    compressed = header.syntax not in NATIVE
    allowed = limit * 2 // 5 if compressed else limit
    if values > allowed:
        raise StudyRefused(f"too many pixels: {source} ({header.columns} x {header.rows} x {header.samples}, at most {allowed:,} samples)")
    if compressed and header.syntax not in CODECS:
        raise StudyRefused(f"unsupported transfer syntax: {source} ({known_name(header.syntax)})")
    if not compressed:
        return _aligned(_gray(*_decode(header, source, _native_frame(header, source, frame), "")), header)
    return _within_bits(_compressed_samples(header, source, frame, factor_size), header, source)


def _compressed_samples(header: FilmHeader, source: Path, frame: int, factor_size: int | None) -> np.ndarray:
    if header.length is not None:
        raise StudyRefused(f"lying header: {source} (compressed by its transfer syntax, but its pixel data are not encapsulated)")
    encoded = _encoded_frame(header, source, frame)
    if header.syntax == RLE:
        _check_rle(header, source, encoded)
    else:
        _check_codestream(header, source, encoded)
    if factor_size is not None and header.bits_allocated == 8 and header.syntax in (JPEG_8_BIT, JPEG_EXTENDED) and header.samples == 1:
        image = Image.open(io.BytesIO(encoded), formats=("JPEG",))
        image.draft("L", jpeg_draft(header.columns, header.rows, factor_size))
        return np.asarray(image)
    plugin = _plugin(header, source)
    if plugin == "gdcm":
        return _gray(_by_gdcm(header, source, encoded, read_codestream(encoded).bits), header.photometric)
    samples = _gray(*_decode(header, source, encoded, plugin))
    return _aligned(samples, header) if header.syntax == RLE else samples


def _native_frame(header: FilmHeader, source: Path, frame: int) -> bytes:
    held = header.file.size - header.start
    if header.length is None:
        raise StudyRefused(f"lying header: {source} (uncompressed by its transfer syntax, but its pixel data have no length)")
    need, held = header.frame_bytes * (frame + 1), min(held, header.length)
    if held < need:
        raise StudyRefused(f"truncated: {source} ({header.columns} x {header.rows} needs {need:,} bytes of pixels, {held:,} are there)")
    file = Bounded(header.file.file, 8, header.frame_bytes)
    file.seek(header.start + header.frame_bytes * frame)
    return file.read(header.frame_bytes)


def _encoded_frame(header: FilmHeader, source: Path, frame: int) -> bytes:
    from pydicom.encaps import get_frame

    elements = header.elements
    offsets, lengths = elements.get("ExtendedOffsetTable"), elements.get("ExtendedOffsetTableLengths")
    header.file.seek(header.start)
    file = Bounded(header.file.file, 200_000, 2 * header.frame_bytes + 1_000_000)
    table = (offsets, lengths) if isinstance(offsets, bytes) and isinstance(lengths, bytes) else None
    encoded = get_frame(file, frame, extended_offsets=table, number_of_frames=header.frames)
    if not encoded:
        raise StudyRefused(f"truncated: {source} (no bytes in frame {frame})")
    return encoded


def _check_codestream(header: FilmHeader, source: Path, encoded: bytes) -> None:
    stream = read_codestream(encoded)
    said = (header.columns, header.rows, header.samples)
    if (stream.width, stream.height, stream.components) != said:
        raise StudyRefused(
            f"lying header: {source} (header {said[0]} x {said[1]} x {said[2]}, "
            f"codestream {stream.width} x {stream.height} x {stream.components})"
        )
    if stream.bits > header.bits_allocated:
        raise StudyRefused(f"lying header: {source} ({header.bits_allocated} bits allocated, codestream of {stream.bits})")
    if stream.scans > MAX_SCANS:
        raise StudyRefused(f"decompression bomb: {source} (JPEG of {stream.scans} scans)")
    if header.syntax == JPEG_EXTENDED and stream.bits not in (8, 12):
        raise StudyRefused(f"lying header: {source} (JPEG Extended of {stream.bits} bits, expected 8 or 12)")


def _check_rle(header: FilmHeader, source: Path, encoded: bytes) -> None:
    """Run lengths cannot expand more than 64 times; each segment must unpack to its plane and not much more, by its control bytes."""
    planes = header.samples * header.bits_allocated // 8
    words = np.frombuffer(encoded[:64].ljust(64, b"\0"), dtype="<u4")
    plane = header.rows * header.columns
    bounds = [int(word) for word in words[1 : 1 + planes]] + [len(encoded)]
    if words[0] != planes or any(not 64 <= low < high for low, high in pairwise(bounds)):
        raise StudyRefused(f"lying header: {source} ({words[0]} RLE segment(s), expected {planes} in order)")
    if any((high - low) * 64 < plane or high - low > 2 * plane + 64 for low, high in pairwise(bounds)):
        raise StudyRefused(f"lying header: {source} (RLE segments that cannot hold {header.columns} x {header.rows})")


def _decode(header: FilmHeader, source: Path, data: bytes, plugin: str) -> tuple[np.ndarray, str]:
    """The samples [H, W] or [H, W, 3] and the photometric interpretation that they have after decoding."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "samples_per_pixel": header.samples,
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_stored,
        "pixel_representation": int(header.signed),
        "photometric_interpretation": header.photometric,
        "planar_configuration": header.planar,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    if not plugin:
        options |= {"pixel_vr": header.pixel_vr, "view_only": True, "correct_unused_bits": False}
    elif header.syntax == RLE:
        options |= {"correct_unused_bits": False}
    buffer: bytes | bytearray = encapsulate([data], has_bot=False) if plugin else data
    del data
    with quiet():
        try:
            samples, meta = get_decoder(UID(header.syntax)).as_array(buffer, index=0, raw=True, decoding_plugin=plugin, **options)
        except Exception as error:  # a codec raises what it likes on a broken stream
            raise StudyRefused(f"unreadable pixel data: {source} ({one_line(error)})") from None
    return samples, str(meta["photometric_interpretation"])


def _by_gdcm(header: FilmHeader, source: Path, encoded: bytes, bits: int) -> np.ndarray:
    """Samples by GDCM; `bits` is the codestream's own precision, which decides how wide JPEG-LS samples come back."""
    from sista.corpus.films.dicom_gdcm import HELPER

    jpeg_ls = header.syntax in (JPEG_LS, JPEG_LS_NEAR)
    wide = bits > 8 if jpeg_ls else header.bits_allocated == 16
    format_ = {
        "syntax": header.syntax,
        "columns": header.columns,
        "rows": header.rows,
        "samples": header.samples,
        "photometric": header.photometric,
        "bits_allocated": 16 if wide else 8,
        "bits_stored": bits if jpeg_ls else header.bits_stored,
        "signed": int(header.signed),
    }
    try:
        data = HELPER.decode(encoded, format_)
    except ValueError as error:
        raise StudyRefused(f"unreadable pixel data: {source} ({one_line(error)})") from None
    shape = (header.rows, header.columns) + ((3,) if header.samples == 3 else ())
    kind = np.dtype(f"{'i' if header.signed else 'u'}{2 if wide else 1}")
    count = math.prod(shape)
    if len(data) < count * kind.itemsize:
        raise StudyRefused(f"unreadable pixel data: {source} (GDCM gives {len(data):,} bytes for {count:,} samples)")
    samples = np.frombuffer(data, kind, count).reshape(shape)
    down = 8 * kind.itemsize - (bits if jpeg_ls else header.bits_stored)
    return (samples << down) >> down if header.signed and down > 0 else samples


def _gray(samples: np.ndarray, photometric: str) -> np.ndarray:
    if samples.ndim == 2:
        return samples
    return np.ascontiguousarray(samples[:, :, 0]) if photometric.startswith("YBR_FULL") else luminance(samples)


def _within_bits(samples: np.ndarray, header: FilmHeader, source: Path) -> np.ndarray:
    """Samples within the bits stored: a lossy codec may overshoot and is clipped, a lossless one that does so has a lying header."""
    low, high = header.lowest, header.lowest + (1 << header.bits_stored) - 1
    if low <= int(samples.min()) and int(samples.max()) <= high:
        return samples
    if header.syntax not in LOSSY:
        raise StudyRefused(f"lying header: {source} (samples beyond the {header.bits_stored} bits stored)")
    return np.clip(samples, low, high)


def _aligned(samples: np.ndarray, header: FilmHeader) -> np.ndarray:
    """Samples of native or RLE frames moved down from the high bit, without the unused bits (old overlays), with their sign."""
    samples = samples if samples.dtype.isnative else samples.astype(samples.dtype.newbyteorder("="))
    up = header.bits_allocated - 1 - header.high_bit
    down = header.bits_allocated - header.bits_stored
    if not down:
        return samples
    if not header.signed and header.high_bit == header.bits_stored - 1 and int(samples.max()) < 1 << header.bits_stored:
        return samples  # no unused bit is set
    if not samples.flags.writeable:
        samples = samples.copy()
    np.left_shift(samples, up, out=samples)
    return np.right_shift(samples, down, out=samples)


def _plugin(header: FilmHeader, source: Path) -> str:
    twelve_bits = header.syntax == JPEG_EXTENDED and header.bits_allocated == 16
    decoder, module, package = CODECS[JPEG_LS if twelve_bits else header.syntax]
    if find_spec(module) is None:
        raise StudyRefused(f"missing package: {source} ({known_name(header.syntax)} needs {package}; pip install -e '.[dicom]')")
    return decoder


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no log lines of pydicom meanwhile: what matters of them is in the refusal."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def one_line(error: BaseException) -> str:
    """What an error says, on one line of at most 160 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
