"""Radiographs as DICOM: one frame, shown as it is meant to be, with the few facts that may leave its header."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from sista.corpus.films import radiograph
from sista.corpus.films.radiograph import Display, Radiograph
from sista.corpus.study import StudyRefused


def read_dicom(file: BinaryIO, source: Path, size: int | None, display: Display) -> Radiograph:
    """One frame of a DICOM file as gray pixels, bright = dense; raises `StudyRefused` with one line for everything that it cannot read."""
    try:
        return _read(file, source, size, display)
    except StudyRefused:
        raise
    except ModuleNotFoundError as error:
        raise StudyRefused(f"missing package: {source} (DICOM needs {str(error.name).split('.')[0]}; pip install -e '.[dicom]')") from None
    except MemoryError:
        raise StudyRefused(f"out of memory: {source}") from None
    except Exception as error:  # pydicom raises whatever a malformed element leads to; its text may quote the header
        raise StudyRefused(f"unreadable DICOM: {source} ({_reason(error)})") from None


def stored_pixels(source: Path, frame: int = 0) -> np.ndarray:
    """The decoded samples of a DICOM file [H, W] as int32, before any transform for display; colour as its luminance."""
    from sista.corpus.films.dicom_header import read_header
    from sista.corpus.films.dicom_samples import quiet, stored_samples

    with Path(source).open("rb") as file:
        with quiet():
            header = read_header(file, Path(source))
        return stored_samples(header, Path(source), frame, radiograph.MAX_PIXELS).astype(np.int32)


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file without preamble begins like a DICOM data set: a low even group, and an explicit VR or a plausible length."""
    if len(head) < 8 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02"):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or (head[0] != 0 and int.from_bytes(head[4:8], "little") < 1 << 16)


def _read(file: BinaryIO, source: Path, size: int | None, display: Display) -> Radiograph:
    from sista.corpus.films.dicom_display import Shades
    from sista.corpus.films.dicom_header import allowed_text, read_header, spacing_of
    from sista.corpus.films.dicom_samples import quiet, stored_samples

    with quiet():
        header = read_header(file, source)
        frame = _frame(header.frames, source, display.frame)
        try:
            shades = Shades(header, display.window, frame)
        except ValueError as error:
            raise StudyRefused(f"unusable display settings: {source} ({_reason(error)})") from None
    samples = stored_samples(header, source, frame, radiograph.MAX_PIXELS, size if shades.reducible else None)
    pixels, words = shades.show(samples, size)
    spacing, spacing_from = spacing_of(header.elements)
    return Radiograph(
        pixels,
        header.columns,
        header.rows,
        pixel_spacing=spacing,
        pixel_spacing_from=spacing_from,
        photometric=header.photometric,
        bits=header.bits_stored,
        window=words,
        transfer_syntax=header.syntax,
        frames=header.frames,
        tags=allowed_text(header.elements),
    )


def _frame(frames: int, source: Path, chosen: int | None) -> int:
    if chosen is None and frames > 1:
        raise StudyRefused(f"multi-frame: {source} ({frames} frames; choose one)")
    if chosen is not None and not 0 <= chosen < frames:
        raise StudyRefused(f"no such frame: {source} (frame {chosen} chosen, {frames} there, counted from 0)")
    return chosen or 0


def _reason(error: Exception) -> str:
    """Only our own texts are quoted; of other errors the kind alone, because their text may hold a value of the header."""
    own = isinstance(error, (OverflowError, ValueError)) and any(
        sign in str(error) for sign in ("JPEG", "window ", "Rescale", "endless header", "There aren't enough offsets", "frame fragment")
    )
    return " ".join(str(error).split())[:160] if own else type(error).__name__
