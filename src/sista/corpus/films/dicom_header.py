"""The header of a DICOM film: only the elements that reading pixels needs are ever parsed; of those only a white list leaves the reader."""

from __future__ import annotations

import io
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sista.corpus.study import StudyRefused

_CODE, _NAME = re.compile(r"[A-Z0-9_ ]{1,16}"), re.compile(r"[A-Za-z0-9 .,()/+_-]{1,64}")
WHITE_LIST = {
    "Modality": _CODE,
    "BodyPartExamined": _CODE,
    "ViewPosition": _CODE,
    "Laterality": _CODE,
    "ImageLaterality": _CODE,
    "PhotometricInterpretation": _CODE,
    "PresentationIntentType": _CODE,
    "BurnedInAnnotation": _CODE,
    "Manufacturer": _NAME,
    "ManufacturerModelName": _NAME,
}
"""The text fields that alone may leave the reader, with the pattern that a value must match whole; any other value becomes empty."""

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PARSED = (
    *WHITE_LIST,
    *SPACINGS,
    *("SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "PresentationLUTShape"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)
_PIXEL_DATA, _FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
MAX_HEADER_READS = 200_000  # some 100,000 elements; a header of a film has a few hundred
MAX_HEADER_BYTES = 64_000_000
MAX_INFLATED = 250_000_000  # bytes of a deflated file


class Bounded:
    """A binary file that reads at most what it holds, and gives up after `reads` calls or `limit` bytes: no header can make it spin."""

    def __init__(self, file: BinaryIO, reads: int, limit: int) -> None:
        self.file, self.reads, self.limit = file, reads, limit
        here = file.tell()
        self.size = file.seek(0, os.SEEK_END)
        file.seek(here)

    def read(self, count: int = -1) -> bytes:
        """At most `count` bytes (all for -1); raises OverflowError when the budget is spent."""
        left = max(0, self.size - self.file.tell())
        count = left if count < 0 else min(count, left)
        self.reads, self.limit = self.reads - 1, self.limit - count
        if self.reads < 0 or self.limit < 0:
            raise OverflowError("endless header or more data than the film can have")
        return self.file.read(count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file, never beyond its end."""
        return self.file.seek(min(offset, self.size) if whence == os.SEEK_SET else offset, whence)

    def tell(self) -> int:
        """Where the next byte is read."""
        return self.file.tell()


@dataclass(frozen=True)
class FilmHeader:
    """What the header says of the pixels, each number checked for its range; `elements` is the parsed part of the pydicom data set.

    `file` stands at `start`, the first byte of the pixel data's value; `length` is its length in bytes, None for encapsulated frames.
    """

    syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    planar: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    pixel_vr: str
    file: Bounded
    start: int
    length: int | None
    elements: Any

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame without compression."""
        values = self.rows * self.columns * self.samples
        return (values * 2 // 3 if self.photometric == "YBR_FULL_422" else values) * self.bits_allocated // 8

    @property
    def lowest(self) -> int:
        """The smallest stored value that the bits allow."""
        return -(1 << (self.bits_stored - 1)) if self.signed else 0


def read_header(file: BinaryIO, source: Path) -> FilmHeader:
    """The header of a DICOM file with or without preamble; raises `StudyRefused` for anything but a film's header with pixels behind it."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_dataset

    bounded = Bounded(file, MAX_HEADER_READS, MAX_HEADER_BYTES)
    file.seek(128)
    file.seek(132 if file.read(4) == b"DICM" else 0)
    wanted: list[Any] = [tag_for_keyword(keyword) for keyword in _PARSED]
    meta = read_dataset(bounded, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2, specific_tags=[0x00020010])  # type: ignore[arg-type]
    syntax = str(meta.get("TransferSyntaxUID", "") or _guess(bounded))
    if syntax == "1.2.840.10008.1.2.1.99":
        bounded = Bounded(_inflate(file, source), MAX_HEADER_READS, MAX_HEADER_BYTES)
    implicit, little = syntax == "1.2.840.10008.1.2", syntax != "1.2.840.10008.1.2.2"

    stopped: list[tuple[int, str | None, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag in (*_FLOAT_PIXELS, _PIXEL_DATA) or tag >> 16 > 0x7FE0:
            stopped.append((int(tag), vr, length))
        return bool(stopped)

    elements = read_dataset(bounded, implicit, little, stop_when=at_pixels, specific_tags=wanted)  # type: ignore[arg-type]
    kind = known_name(str(elements.get("SOPClassUID", "")))
    if "Rows" not in elements or "Columns" not in elements:
        raise StudyRefused(f"no image: {source} (DICOM without rows and columns: {kind})")
    if stopped and stopped[0][0] in _FLOAT_PIXELS:
        raise StudyRefused(f"no film: {source} (its samples are floating-point numbers)")
    if not stopped or stopped[0][0] != _PIXEL_DATA:
        raise StudyRefused(f"no pixel data: {source} (a DICOM header alone: {kind})")
    _, vr, length = stopped[0]
    bounded.seek(bounded.tell() + (12 if vr in ("OB", "OW", "UN", "OF", "OL", "OV") else 8))
    return _checked(elements, source, syntax, bounded, vr or "OW", None if length == _UNDEFINED else length)


def spacing_of(elements: Any) -> tuple[tuple[float, float] | None, str | None]:
    """The (row, column) distance of pixels in mm and the element that says so: of the patient, else of the detector, else of the scan."""
    for keyword in SPACINGS:
        try:
            row, column = (float(value) for value in elements.get(keyword))
        except Exception:  # missing, one value, or text that is no number
            continue
        if 1e-4 < row < 100 and 1e-4 < column < 100:
            return (row, column), keyword
    return None, None


def allowed_text(elements: Any) -> dict[str, str]:
    """The white-listed text fields of a header, those that are present and match their pattern."""
    found = {}
    for keyword, pattern in WHITE_LIST.items():
        try:
            value = str(elements.get(keyword) or "").strip()
        except Exception:  # a damaged element: the film is read all the same, and nothing doubtful is carried over
            continue
        value = value.upper() if pattern is _CODE else value
        if pattern.fullmatch(value):
            found[keyword] = value
    return found


def _checked(elements: Any, source: Path, syntax: str, file: Bounded, vr: str, length: int | None) -> FilmHeader:
    def number(keyword: str, default: int | None, low: int, high: int) -> int:
        value = elements.get(keyword)
        try:
            whole = int(default if value is None or value == "" else value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise StudyRefused(f"lying header: {source} ({keyword} is {'missing' if value is None else 'no number'})") from None
        if not low <= whole <= high:
            raise StudyRefused(f"lying header: {source} ({keyword} is {whole}, expected {low} to {high})")
        return whole

    allocated = number("BitsAllocated", None, 1, 64)
    if allocated not in (8, 16):
        raise StudyRefused(f"unsupported samples: {source} ({allocated} bits allocated, expected 8 or 16)")
    stored = number("BitsStored", allocated, 1, allocated)
    samples = number("SamplesPerPixel", 1, 1, 3)
    photometric = allowed_text(elements).get("PhotometricInterpretation", "MONOCHROME2" if samples == 1 else "")
    expected = 1 if photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") else 3
    if photometric not in PHOTOMETRIC or samples != expected:
        raise StudyRefused(f"unsupported photometric interpretation: {source} ({photometric or 'none'} with {samples} sample(s) per pixel)")
    return FilmHeader(
        syntax=syntax,
        rows=number("Rows", None, 1, 65535),
        columns=number("Columns", None, 1, 65535),
        frames=number("NumberOfFrames", 1, 1, 1_000_000),
        samples=samples,
        planar=number("PlanarConfiguration", 0, 0, 1),
        photometric=photometric,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=number("HighBit", stored - 1, stored - 1, allocated - 1),
        signed=bool(number("PixelRepresentation", 0, 0, 1)) and samples == 1,
        pixel_vr=vr,
        file=file,
        start=file.tell(),
        length=length,
        elements=elements,
    )


PHOTOMETRIC = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
"""What is read: gray as it is, a palette looked up, colour as its luminance."""


def _guess(file: Bounded) -> str:
    """The transfer syntax of a file without meta information, from its first element (as pydicom guesses)."""
    from pydicom.values import converters

    start = file.tell()
    head = file.read(6)
    file.seek(start)
    if head[4:6].decode("latin-1") not in converters:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.2" if int.from_bytes(head[:2], "little") >= 1024 else "1.2.840.10008.1.2.1"


def _inflate(file: BinaryIO, source: Path) -> BinaryIO:
    inflater, data = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    while not inflater.eof and (chunk := inflater.unconsumed_tail or file.read(1 << 20)):
        data.write(inflater.decompress(chunk, 1 << 24))
        if data.tell() > MAX_INFLATED:
            raise StudyRefused(f"decompression bomb: {source} (inflates to more than {MAX_INFLATED:,} bytes)")
    data.seek(0)
    return data


def known_name(uid: str) -> str:
    """The name of a UID in the DICOM dictionary; one that is not in it may hold anything, so that it is never shown."""
    from pydicom.uid import UID_dictionary

    return UID_dictionary[uid][0] if uid in UID_dictionary else "of an unknown class"
