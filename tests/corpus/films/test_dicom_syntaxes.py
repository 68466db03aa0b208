"""Known arrays in every transfer syntax, photometric interpretation and depth come back.

`python -m tests.corpus.films.test_dicom_syntaxes --write` puts the table of it into docs/films.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (extra `dicom`)")
from PIL import Image

from sista.corpus.films.dicom import stored_pixels
from sista.corpus.films.radiograph import Display, open_radiograph
from tests.corpus.films.dicom_made import BOUND, NATIVE, SYNTAXES, colour_film, dataset, film, to_bytes

KINDS = {
    "8": (8, False),
    "10": (10, False),
    "12": (12, False),
    "14": (14, False),
    "16": (16, False),
    "12 signed": (12, True),
    "16 signed": (16, True),
    "RGB": (8, False),
    "palette": (8, False),
}
REASONS = {
    ("JPEG Baseline (8 bit, lossy)", "deep"): "8 bits only",
    ("JPEG Extended (12 bit, lossy)", "other"): "12 bits unsigned only",
    ("lossy", "palette"): "indices must be lossless",
    ("HTJ2K", "signed"): "no encoder for signed",
    ("JPEG-LS Near-Lossless (error 3)", "signed"): "no sign in JPEG-LS: an error at 0 would wrap",
}


def why_not(name: str, kind: str) -> str | None:
    """Why a pair is not encoded here, None where it is."""
    bits, signed = KINDS[kind]
    if kind == "palette" and name in BOUND:
        return REASONS["lossy", "palette"]
    if name.startswith("JPEG Baseline") and bits > 8:
        return REASONS[name, "deep"]
    if name.startswith("JPEG Extended") and kind != "12":
        return REASONS[name, "other"]
    if name.startswith("HTJ2K") and signed:
        return REASONS["HTJ2K", "signed"]
    return REASONS[name, "signed"] if signed and name.startswith("JPEG-LS Near") else None


def difference(name: str, kind: str, photometric: str, folder: Path) -> int:
    """The greatest difference of decoded samples from the array that was encoded, and a check that it is shown bright = dense."""
    bits, signed = KINDS[kind]
    pixels = colour_film() if kind == "RGB" else film(bits, signed)
    elements = {}
    if kind == "palette":
        ramp = np.arange(256, dtype=np.uint8)[::-1].tobytes()
        for colour in ("Red", "Green", "Blue"):
            elements |= {f"{colour}PaletteColorLookupTableDescriptor": [256, 0, 8], f"{colour}PaletteColorLookupTableData": ramp}
        photometric = "PALETTE COLOR"
    ds = dataset(pixels, bits, "" if kind == "RGB" else photometric, **elements)
    path = folder / "film.dcm"
    path.write_bytes(to_bytes(ds, SYNTAXES[name]))
    expected = np.asarray(Image.fromarray(pixels).convert("L")) if kind == "RGB" else pixels
    stored = stored_pixels(path)
    opened = open_radiograph(path, display=Display(window="none"))
    assert opened.transfer_syntax == SYNTAXES[name]
    assert opened.bits == bits
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    shown = high - stored if photometric == "MONOCHROME1" and kind != "RGB" else stored - low
    if kind == "palette":
        shown = 255 - stored
    np.testing.assert_array_equal(opened.pixels, shown)
    return int(np.abs(stored - expected.astype(np.int32)).max())


def bound(name: str, kind: str) -> int:
    """What the codec may differ by in levels of the samples; 0 where it is lossless."""
    if name not in BOUND:
        return 0
    levels = BOUND[name][kind == "RGB"]
    return levels if "Near" in name else levels << max(0, KINDS[kind][0] - 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SYNTAXES)
def test_every_encoding_comes_back(name: str, kind: str, tmp_path: Path) -> None:
    reason = why_not(name, kind)
    if reason:
        pytest.skip(reason)
    for photometric in ("MONOCHROME2",) if kind in ("RGB", "palette") else ("MONOCHROME1", "MONOCHROME2"):
        assert difference(name, kind, photometric, tmp_path) <= bound(name, kind)


@pytest.mark.parametrize("name", NATIVE)
def test_files_without_preamble_and_meta_are_read(name: str, tmp_path: Path) -> None:
    if name.startswith("Deflated"):
        pytest.skip("a deflated file cannot be told without its meta information")
    content = to_bytes(dataset(film(12), 12), SYNTAXES[name])
    start = content.index(b"\x08\x00" if not name.endswith("Big Endian") else b"\x00\x08", 132 + 12)
    length = int.from_bytes(content[140:144], "little")
    start = 144 + length
    (tmp_path / "a").write_bytes(content[start:])
    np.testing.assert_array_equal(stored_pixels(tmp_path / "a"), film(12))
    assert open_radiograph(tmp_path / "a").bits == 12


def table(folder: Path) -> str:
    """The Markdown table of all encodings: exact, the greatest difference with its bound, or why it was not tested."""
    lines = ["| transfer syntax | " + " | ".join(KINDS) + " |", "|---|" + "---|" * len(KINDS)]
    for name in SYNTAXES:
        cells = []
        for kind in KINDS:
            reason = why_not(name, kind)
            if reason:
                cells.append("-")
                continue
            try:
                photometrics = ("MONOCHROME2",) if kind in ("RGB", "palette") else ("MONOCHROME1", "MONOCHROME2")
                most = max(difference(name, kind, photometric, folder) for photometric in photometrics)
            except BaseException as error:
                cells.append(f"not tested ({error})" if type(error).__name__ == "Skipped" else f"FAILS ({error})")
                continue
            allowed = bound(name, kind)
            cells.append("exact" if most == 0 else f"{most} <= {allowed}" if most <= allowed else f"FAILS: {most} > {allowed}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        made = table(Path(temporary))
    page = Path(__file__).parents[3] / "docs" / "films.md"
    begin, end = "<!-- encodings: made by tests/corpus/films/test_dicom_syntaxes.py -->", "<!-- /encodings -->"
    if "--write" in sys.argv:
        before, rest = page.read_text().split(begin)
        page.write_text(before + begin + "\n\n" + made + "\n\n" + end + rest.split(end)[1])
    print(made)
