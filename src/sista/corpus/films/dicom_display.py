"""From stored samples to gray that looks as the film is meant to: modality values, window, bright = dense, padding black.

Everything between a stored sample and its gray depends on that sample alone, so it is one table with an entry for each value that
the stored bits allow (65,536 at most), and showing a film is one look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sista.corpus.films.dicom_header import FilmHeader
from sista.corpus.films.pixels import box_factor, box_means, luminance, strips

PERCENTILES = (0.5, 99.5)  # of the film, without its padding, that become black and white


@dataclass(frozen=True)
class Curve:
    """A map of modality values to 0..1 (black to white before any inversion), in words, and the line (low, high) when it is one."""

    words: str
    shade: Callable[[np.ndarray], np.ndarray]
    line: tuple[float, float] | None = None


class Shades:
    """How the samples of one header are shown under the window setting `window` (see `sista.corpus.films.radiograph.Display`)."""

    def __init__(self, header: FilmHeader, window: str | int, frame: int = 0) -> None:
        self.header, self.window = header, window
        groups = _with_groups(header.elements, frame)
        stored = np.arange(1 << header.bits_stored, dtype=np.int64) + header.lowest
        if header.samples == 3 or header.photometric == "PALETTE COLOR":
            self.values = _palette(stored, header) if header.samples == 1 else stored.astype(np.float64)
            self.padding, self.inverted, self.straight, groups = np.zeros(stored.shape, bool), False, header.samples == 3, type(groups)()
        else:
            self.values = _modality(stored, groups)
            self.padding = _padding(stored, header)
            self.inverted = header.photometric == "MONOCHROME1" or str(groups.get("PresentationLUTShape", "")).strip() == "INVERSE"
            self.straight = not groups.get("ModalityLUTSequence")
        deep = header.bits_stored > 8 or bool(groups.get("ModalityLUTSequence"))
        self.curve: Curve | None = None
        if window not in ("none", "percentile"):
            number = 0 if isinstance(window, str) else window
            self.curve = chosen_curve(
                groups, number, (float(self.values.min()), float(self.values.max())), strict=not isinstance(window, str)
            )
            if self.curve is None and not deep:
                self.curve = _straight_line(float(self.values.min()), float(self.values.max()), "all 8 bits")

    @property
    def reducible(self) -> bool:
        """Whether boxes of samples may be averaged before they are shown: the way is a clipped line, and no sample is padding."""
        line = self.curve is None if self.window != "none" else False
        return self.straight and not self.padding.any() and (line or (self.curve is not None and self.curve.line is not None))

    def show(self, samples: np.ndarray, size: int | None = None) -> tuple[np.ndarray, str]:
        """Pixels, bright = dense, and what was done in words; with `size`, boxes are averaged first where `reducible`."""
        factor = box_factor(samples.shape[0], samples.shape[1], size) if self.reducible else 1
        lowest = self.header.lowest
        if factor == 1:
            table, words = self._table(samples)
            shown = np.empty(samples.shape, table.dtype)
            for rows in strips(samples):
                np.take(table, samples[rows].astype(np.int64) - lowest, out=shown[rows])
            return shown, words
        means = box_means(samples, factor)
        curve = self.curve or self._by_percentile(np.rint(means))
        slope, offset = self._slope()
        gray = curve.shade(means * np.float32(slope) + np.float32(offset))
        return _to_gray(1 - gray if self.inverted else gray), curve.words

    def _slope(self) -> tuple[float, float]:
        values, lowest = self.values, self.header.lowest
        slope = float(values[-1] - values[0]) / max(1, len(values) - 1)
        return slope, float(values[0]) - slope * lowest

    def _table(self, samples: np.ndarray) -> tuple[np.ndarray, str]:
        if self.window == "none":
            return self._plain_table()
        curve = self.curve or self._by_percentile(samples)
        shade = curve.shade(self.values)
        table = _to_gray(1 - shade if self.inverted else shade)
        table[self.padding] = 0
        return table, curve.words

    def _plain_table(self) -> tuple[np.ndarray, str]:
        low, high = float(self.values.min()), float(self.values.max())
        whole = bool((self.values == np.rint(self.values)).all()) and high - low <= 65535
        scale = 1.0 if whole else 65535 / max(high - low, 1e-9)
        table = np.rint((self.values - low) * scale)
        table = table.max() - table if self.inverted else table
        table[self.padding] = 0
        sign = f"{high:g} - " if self.inverted else f"{low:g} + "
        return table.astype(np.uint8 if table.max() <= 255 else np.uint16), f"none: value = {sign}pixel" + (
            "" if whole else f" / {scale:g}"
        )

    def _by_percentile(self, samples: np.ndarray) -> Curve:
        counts = np.zeros(len(self.values), dtype=np.int64)
        for rows in strips(samples):
            counts += np.bincount(samples[rows].astype(np.int64).reshape(-1) - self.header.lowest, minlength=len(counts))
        counts[self.padding] = 0
        order = np.argsort(self.values, kind="stable")
        total = np.cumsum(counts[order])
        if not total[-1]:
            return _straight_line(float(self.values.min()), float(self.values.max()), "nothing but padding")
        low, high = (float(self.values[order[np.searchsorted(total, share / 100 * total[-1])]]) for share in PERCENTILES)
        return _straight_line(low, high, f"percentile: {low:g} to {high:g}")


def chosen_curve(elements: Any, number: int, bounds: tuple[float, float], strict: bool = False) -> Curve | None:
    """Number `number` of the VOI LUTs, then windows, of a header; None when it has none that is usable (ValueError when `strict`).

    LINEAR, LINEAR_EXACT and SIGMOID as in DICOM PS3.3 C.11.2.1. `bounds` are the least and the greatest modality value.
    """
    luts = list(elements.get("VOILUTSequence") or [])
    centers, widths = (_floats(elements.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    windows = list(zip(centers, widths, strict=False))
    if strict and not 0 <= number < len(luts) + len(windows):
        raise ValueError(f"window {number} chosen, {len(luts)} VOI LUT(s) and {len(windows)} window(s) are there")
    if number < len(luts):
        _, bits = _entries(luts[number])

        def look_up(values: np.ndarray) -> np.ndarray:
            return _looked_up(np.rint(values).astype(np.int64), luts[number]) / ((1 << bits) - 1)

        return Curve(f"VOI LUT {number}", look_up)
    if number - len(luts) >= len(windows):
        return None
    center, width = windows[number - len(luts)]
    function = str(elements.get("VOILUTFunction") or "LINEAR").strip().upper()
    words = f"window {number - len(luts)}: center {center:g}, width {width:g}, {function}"
    if not np.isfinite(center + width) or width <= 0 or (function == "LINEAR" and width < 1):
        if strict:
            raise ValueError(words + ": the width is impossible")
        return None
    if function == "SIGMOID":
        return Curve(words, lambda values: 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return _straight_line(center - width / 2, center + width / 2, words)
    return _straight_line(center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2, words)


def _modality(stored: np.ndarray, elements: Any) -> np.ndarray:
    """Modality values of stored ones: by the table, else by slope and intercept (PS3.3 C.11.1)."""
    tables = list(elements.get("ModalityLUTSequence") or [])
    if tables:
        return _looked_up(stored, tables[0])
    slope, intercept = _floats(elements.get("RescaleSlope")) or [1.0], _floats(elements.get("RescaleIntercept")) or [0.0]
    if not np.isfinite(slope[0]) or not np.isfinite(intercept[0]) or slope[0] == 0:
        raise ValueError("RescaleSlope or RescaleIntercept is impossible")
    return stored.astype(np.float64) * slope[0] + intercept[0]


def _entries(item: Any) -> tuple[np.ndarray, int]:
    """The entries of a look-up table and the bits that they use: as described, or 16 where an entry is beyond that."""
    count, _, bits = (_word(value) for value in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        little = getattr(item, "original_encoding", (None, True))[1] is not False
        wide = len(data) >= 2 * (count or 65536)
        entries = np.frombuffer(data, ("<u2" if little else ">u2") if wide else "u1")
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64))
    entries = entries[: count or 65536].astype(np.float64)
    return entries, bits if 1 <= bits <= 16 and entries.max() < 1 << bits else 16


def _looked_up(values: np.ndarray, item: Any) -> np.ndarray:
    """Whole values by a look-up table; those before its first entry take the first, those behind its last the last."""
    entries, _ = _entries(item)
    first = _word(item.LUTDescriptor[1])
    first -= 65536 if first >= 32768 and values.min() < 0 else 0
    return entries[np.clip(values - first, 0, len(entries) - 1)]


def _straight_line(low: float, high: float, words: str) -> Curve:
    if high <= low:  # a step, as a window of width 1 is
        return Curve(words, lambda values: (values > low).astype(np.float64))
    return Curve(words, lambda values: np.clip((values - low) / (high - low), 0, 1), (low, high))


def _to_gray(shade: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(shade, 0, 1) * 255).astype(np.uint8)


def _padding(stored: np.ndarray, header: FilmHeader) -> np.ndarray:
    value, other = (_word(header.elements.get(keyword)) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if value is None:
        return np.zeros(stored.shape, bool)
    ends = sorted(_as_stored(end, header) for end in (value, value if other is None else other))
    return (stored >= ends[0]) & (stored <= ends[1])


def _word(value: Any) -> Any:
    """A 16-bit number, also where an ambiguous VR left its bytes."""
    if isinstance(value, bytes):
        return int.from_bytes(value[:2], "little") if len(value) >= 2 else None
    return None if value is None or value == "" else int(value)


def _as_stored(value: int, header: FilmHeader) -> int:
    """A value as the samples hold it: files often give it with the other sign."""
    value &= 0xFFFF
    return value - 65536 if header.signed and value >= 32768 else value


def _floats(values: Any) -> list[float]:
    if values is None or values == "":
        return []
    return [float(value) for value in (values if isinstance(values, (list, tuple)) or hasattr(values, "__iter__") else [values])]


def _palette(stored: np.ndarray, header: FilmHeader) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    colour = apply_color_lut(stored.astype(np.uint16), header.elements).reshape(1, -1, 3)
    gray = luminance(colour).reshape(-1).astype(np.float64)
    return np.rint(gray / 257) if colour.dtype == np.uint16 else gray


def _with_groups(elements: Any, frame: int) -> Any:
    """The elements, with spacing, rescale and window of the functional groups of an enhanced object in their old places."""
    shared = list(elements.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = list(elements.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    for group in (*shared, *own):
        for name in ("PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in list(group.get(name) or [])[:1]:
                for keyword in ("PixelSpacing", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"):
                    if keyword in item:
                        elements[keyword] = item[keyword]
    return elements
