"""What a DICOM film looks like: window, inversion, padding, modality values, frames, and what may leave its header."""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (extra `dicom`)")
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from sista.corpus.films import dicom_gdcm, radiograph
from sista.corpus.films.dicom import stored_pixels
from sista.corpus.films.dicom_header import WHITE_LIST
from sista.corpus.films.radiograph import Display, open_radiograph, read_radiograph, resize_film
from sista.corpus.study import StudyRefused
from tests.corpus.films.dicom_made import dataset, film, to_bytes

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "dicom"
TURBO = {"b19c7539dd99bd1e": "cd2e4b3b093aef5d"}
"""The table's hash of the JPEG Baseline files is of the decoder of pylibjpeg-libjpeg (GPL), which differs by 1 in 3 % of the samples from
libjpeg-turbo, from the IJG library in GDCM and from OpenCV, which all give this one; JPEG does not prescribe the last bit."""


def saved(folder: Path, pixels: np.ndarray, bits: int, syntax: str = uid.ExplicitVRLittleEndian, **elements: Any) -> Path:
    (folder / "film.dcm").write_bytes(to_bytes(dataset(pixels, bits, **elements), syntax))
    return folder / "film.dcm"


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [(1, 0), (2, -1024)])
def test_windows_are_those_of_the_standard(function: str, rescale: tuple[int, int], tmp_path: Path) -> None:
    pixels = film(12)
    elements = {
        "WindowCenter": 1500,
        "WindowWidth": 900,
        "VOILUTFunction": function,
        "RescaleSlope": rescale[0],
        "RescaleIntercept": rescale[1],
    }
    ds = dataset(pixels, 12, **elements)
    opened = open_radiograph(saved(tmp_path, pixels, 12, **elements))
    values = pixels.astype(np.float64) * rescale[0] + rescale[1]
    theirs = apply_windowing(values, ds)
    bottom, top = rescale[1], (4095 * rescale[0] + rescale[1])
    assert np.abs(opened.pixels - (theirs - bottom) / (top - bottom) * 255).max() <= 0.51
    assert opened.window == f"window 0: center 1500, width 900, {function}"


def test_windows_are_chosen_by_number_by_percentile_or_not_at_all(tmp_path: Path) -> None:
    pixels = film(12)
    path = saved(tmp_path, pixels, 12, WindowCenter=[2048, 500], WindowWidth=[4096, 100])
    whole, narrow = read_radiograph(path), read_radiograph(path, Display(window=1))
    np.testing.assert_array_equal(whole, np.rint(pixels / 4095 * 255))
    assert set(np.unique(narrow[pixels < 449])) == {0}
    assert set(np.unique(narrow[pixels > 550])) == {255}
    np.testing.assert_array_equal(read_radiograph(path, Display(window="none")), pixels)
    by_percentile = open_radiograph(path, display=Display(window="percentile"))
    assert 0.004 < (by_percentile.pixels == 0).mean() < 0.02
    assert by_percentile.window is not None
    assert by_percentile.window.startswith("percentile")
    with pytest.raises(StudyRefused, match=r"unusable display settings: .*window 2 chosen, 0 VOI LUT\(s\) and 2 window\(s\)"):
        read_radiograph(path, Display(window=2))
    with pytest.raises(ValueError, match="expected 'first'"):
        Display(window="last")


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_percentiles_are_those_of_8_bit_films_too(photometric: str, tmp_path: Path) -> None:
    pixels = film(8) // 3 + 40  # 40 to 125, under the window of the 12-bit original
    path = saved(tmp_path, pixels, 8, WindowCenter=2048, WindowWidth=4096, PhotometricInterpretation=photometric)
    opened = open_radiograph(path, display=Display(window="percentile"))
    assert str(opened.window).startswith("percentile")
    assert (opened.pixels.min(), opened.pixels.max()) == (0, 255)


def test_colour_films_of_8_bits_are_left_as_they_are_unless_percentiles_are_asked_for(tmp_path: Path) -> None:
    gray = film(8) // 2 + 50  # 50 to 177
    path = saved(tmp_path, np.repeat(gray[:, :, None], 3, axis=2), 8)
    np.testing.assert_array_equal(read_radiograph(path), gray)
    stretched = open_radiograph(path, display=Display(window="percentile"))
    assert str(stretched.window).startswith("percentile")
    assert (stretched.pixels.min(), stretched.pixels.max()) == (0, 255)


def test_a_film_that_is_nearly_of_one_value_reads_the_same_reduced(tmp_path: Path) -> None:
    pixels = np.full((600, 600), 100, dtype=np.uint16)
    pixels[100:120, 100:120] = 2000
    path = saved(tmp_path, pixels, 12)
    assert np.ptp(read_radiograph(path)) == 255
    reduced = open_radiograph(path, 100).pixels
    assert reduced.shape == (200, 200)
    assert (reduced[34:39, 34:39] == 255).all()
    assert (reduced[:33] == 0).all()


def test_an_impossible_window_falls_back_on_percentiles_unless_it_was_chosen(tmp_path: Path) -> None:
    path = saved(tmp_path, film(12), 12, WindowCenter=100, WindowWidth=0)
    assert str(open_radiograph(path).window).startswith("percentile")
    with pytest.raises(StudyRefused, match="the width is impossible"):
        read_radiograph(path, Display(window=0))


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_modality_and_voi_tables_are_looked_up(syntax: str, tmp_path: Path) -> None:
    def lut(values: np.ndarray, bits: int, **elements: Any) -> Dataset:
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [len(values), 0, bits])
        item.add_new("LUTData", "US", [int(value) for value in values])
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        return item

    pixels = film(10)
    modality = (np.arange(1024) * 4).astype(int)
    voi = (4095 - np.arange(4096)).astype(int)
    path = saved(
        tmp_path,
        pixels,
        10,
        syntax,
        ModalityLUTSequence=[lut(modality, 12, ModalityLUTType="OD")],
        VOILUTSequence=[lut(voi, 12)],
        WindowCenter=2048,
        WindowWidth=4096,
    )
    opened = open_radiograph(path)
    assert opened.window == "VOI LUT 0"
    np.testing.assert_array_equal(opened.pixels, np.rint((4095 - pixels.astype(int) * 4) / 4095 * 255))
    np.testing.assert_array_equal(read_radiograph(path, Display(window="none")), pixels.astype(int) * 4)
    assert open_radiograph(path, display=Display(window=1)).window == "window 0: center 2048, width 4096, LINEAR"


def test_bright_is_dense_whatever_the_header_says(tmp_path: Path) -> None:
    pixels = film(8)
    for elements, inverted in (
        ({"photometric": "MONOCHROME1"}, True),
        ({"photometric": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),  # both say the same thing, once
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
    ):
        shown = read_radiograph(saved(tmp_path, pixels, 8, **elements))
        np.testing.assert_array_equal(shown, 255 - pixels if inverted else pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count(photometric: str, tmp_path: Path) -> None:
    pixels = (film(12, signed=True) // 4).astype(np.int16)
    pixels[:, :10] = -2000
    pixels[0, 10] = -1990
    elements = {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990, "photometric": photometric}
    opened = open_radiograph(saved(tmp_path, pixels, 12, **elements))
    assert (opened.pixels[:, :10] == 0).all()
    assert opened.pixels[0, 10] == 0
    rest = pixels[1:, 10:]
    assert opened.window == f"percentile: {np.percentile(rest, 0.5, method='inverted_cdf'):g} to " + opened.window.split(" to ")[1]
    far = float(opened.window.split(" to ")[1])
    assert abs(far - np.percentile(rest, 99.5)) < 25


def test_signed_samples_unused_bits_and_a_high_bit_are_put_right(tmp_path: Path) -> None:
    pixels = film(12)
    for syntax in (uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian):
        with_overlay = pixels | np.uint16(0xA000)
        np.testing.assert_array_equal(stored_pixels(saved(tmp_path, with_overlay, 12, syntax)), pixels)
        for high in (13, 15):  # in the middle of the word, too
            np.testing.assert_array_equal(stored_pixels(saved(tmp_path, pixels << (high - 11), 12, syntax, HighBit=high)), pixels)
    signed = film(12, signed=True)
    unextended = (signed & 0x0FFF).astype(np.int16)
    np.testing.assert_array_equal(stored_pixels(saved(tmp_path, unextended, 12)), signed)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless])
def test_frames_are_refused_or_chosen(syntax: str, tmp_path: Path) -> None:
    frames = np.stack([film(12, seed=seed) for seed in range(3)])
    ds = dataset(frames[0], 12, NumberOfFrames=3)
    ds.PixelData = frames.tobytes()
    if uid.UID(syntax).is_encapsulated:
        ds.compress(syntax, frames, generate_instance_uid=False)
        syntax = ds.file_meta.TransferSyntaxUID
        ds.save_as(tmp_path / "film.dcm")
    else:
        (tmp_path / "film.dcm").write_bytes(to_bytes(ds, syntax))
    with pytest.raises(StudyRefused, match=r"multi-frame: .*film\.dcm \(3 frames; choose one\)"):
        read_radiograph(tmp_path / "film.dcm")
    for frame in range(3):
        np.testing.assert_array_equal(read_radiograph(tmp_path / "film.dcm", Display("none", frame)), frames[frame])
    with pytest.raises(StudyRefused, match="frame 3 chosen, 3 there"):
        read_radiograph(tmp_path / "film.dcm", Display(frame=3))


def test_spacing_is_kept_and_nothing_but_the_white_list_leaves(tmp_path: Path) -> None:
    opened = open_radiograph(saved(tmp_path, film(12), 12, ImagerPixelSpacing=[0.139, 0.14]), 16)
    assert opened.pixel_spacing == (0.139, 0.14)
    assert opened.pixel_spacing_from == "ImagerPixelSpacing"
    assert (opened.source_height, opened.source_width) == (48, 56)
    assert open_radiograph(saved(tmp_path, film(12), 12, PixelSpacing=[0.2, 0.2], ImagerPixelSpacing=[0.1, 0.1])).pixel_spacing == (
        0.2,
        0.2,
    )
    assert set(opened.tags) <= set(WHITE_LIST)
    assert opened.tags["ViewPosition"] == "PA"
    assert not any(secret in repr(opened).lower() for secret in ("secret", "099y", "20200101", "1.2.826"))
    odd = open_radiograph(saved(tmp_path, film(12), 12, ManufacturerModelName="Sécret; Name^X", BodyPartExamined="CHEST"))
    assert "ManufacturerModelName" not in odd.tags


def test_boxes_are_averaged_before_a_line_and_only_there(tmp_path: Path) -> None:
    pixels = film(12, height=600, width=700)
    window = {"WindowCenter": 2000, "WindowWidth": 1200}
    path = saved(tmp_path, pixels, 12, **window)
    whole, reduced = open_radiograph(path), open_radiograph(path, 100)
    assert reduced.pixels.shape == (300, 350)  # a factor of 3 would drop a column
    boxes = pixels.reshape(300, 2, 350, 2)
    mean_shown = whole.pixels.reshape(300, 2, 350, 2).astype(float).mean(axis=(1, 3))
    gain = 255 / 1199
    reach = np.ptp(boxes.astype(float), axis=(1, 3)) * gain / 4  # the documented bound: a quarter of the box's range, before clipping
    inside = (boxes.min(axis=(1, 3)) > 1401) & (boxes.max(axis=(1, 3)) < 2599)
    difference = np.abs(reduced.pixels - mean_shown)
    assert inside.mean() > 0.1
    assert difference[inside].max() <= 1.0
    assert (difference <= reach + 1.0).all()
    small = np.abs(resize_film(whole.pixels, 100)[0].astype(int) - resize_film(reduced.pixels, 100)[0])
    assert small.mean() < 0.5
    for elements in ({**window, "VOILUTFunction": "SIGMOID"}, {**window, "PixelPaddingValue": 0}):
        assert open_radiograph(saved(tmp_path, pixels, 12, **elements), 100).pixels.shape == (600, 700)
    inverted = open_radiograph(saved(tmp_path, pixels, 12, photometric="MONOCHROME1", **window), 100)
    assert np.abs(255 - inverted.pixels.astype(int) - reduced.pixels).max() <= 1


def test_a_jpeg_inside_dicom_is_reduced_by_its_dct(tmp_path: Path) -> None:
    path = saved(tmp_path, film(8, height=600, width=700), 8, uid.JPEGBaseline8Bit)
    reduced = open_radiograph(path, 64)
    assert reduced.pixels.shape == (150, 175)  # 1/8 would end in half a box
    assert np.abs(resize_film(read_radiograph(path), 64)[0].astype(int) - resize_film(reduced.pixels, 64)[0]).mean() < 1


def refusals() -> dict[str, tuple[Any, str]]:
    pixels = film(12)
    plain = to_bytes(dataset(pixels, 12))
    baseline, lossless = to_bytes(dataset(film(8), 8), uid.JPEGBaseline8Bit), to_bytes(dataset(pixels, 12), uid.JPEG2000Lossless)
    size = b"\x28\x00\x10\x00US\x02\x00"
    without = dataset(pixels, 12)
    del without.PixelData
    report = dataset(pixels, 12)
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(report, keyword)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = uid.BasicTextSRStorage
    return {
        "truncated": (plain[:-100], "needs 5,376 bytes of pixels, 5,276 are there"),
        "cut header": (plain[:400], "no image|no pixel data|unreadable"),
        "tall": (plain.replace(size + b"\x30\x00", size + b"\xff\xff"), "truncated: .*56 x 65535 needs"),
        "zero": (plain.replace(size + b"\x30\x00", size + b"\0\0"), "lying header: .*Rows is 0, expected 1 to 65535"),
        "jpeg size": (baseline.replace(size + b"\x30\x00", size + b"\x31\x00"), "header 56 x 49 x 1, codestream 56 x 48 x 1"),
        "j2k size": (lossless.replace(size + b"\x30\x00", size + b"\x31\x00"), "header 56 x 49 x 1, codestream 56 x 48 x 1"),
        "header only": (to_bytes(without), "no pixel data: .*Digital X-Ray Image Storage - For Presentation"),
        "report": (to_bytes(report), "no image: .*Basic Text SR Storage"),
        "syntax": (baseline.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.99"), "unsupported transfer syntax"),
        "many frames": (to_bytes(dataset(pixels, 12, NumberOfFrames=100000)), "multi-frame: .*100000 frames"),
        "32 bits": (to_bytes(dataset(film(16).astype(np.uint32))), "32 bits allocated"),
        "photometric": (to_bytes(dataset(film(8), photometric="CMYK")), "unsupported photometric interpretation: .*CMYK"),
    }


@pytest.mark.parametrize("name", refusals())
def test_each_bad_file_is_refused_with_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    content, reason = refusals()[name]
    (tmp_path / "bad film.dcm").write_bytes(content)
    with pytest.raises(StudyRefused, match=reason) as caught:
        read_radiograph(tmp_path / "bad film.dcm")
    assert "bad film.dcm" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, film(12), 12, uid.JPEG2000Lossless)
    monkeypatch.setattr(radiograph, "MAX_PIXELS", 3000)
    with pytest.raises(StudyRefused, match=r"too many pixels: .*56 x 48 x 1, at most 1,200 samples"):
        read_radiograph(path)
    monkeypatch.setattr("sista.corpus.films.dicom_header.MAX_INFLATED", 2000)
    with pytest.raises(StudyRefused, match=r"decompression bomb: .*inflates to more than 2,000 bytes"):
        read_radiograph(saved(tmp_path, film(12), 12, uid.DeflatedExplicitVRLittleEndian))


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, film(12), 12, uid.JPEGLosslessSV1)
    monkeypatch.setattr("sista.corpus.films.dicom_samples.find_spec", lambda name: None)
    with pytest.raises(StudyRefused, match=r"missing package: .* needs python-gdcm; pip install -e '\.\[dicom\]'"):
        read_radiograph(path)


def test_a_frame_that_ends_gdcm_ends_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, film(12), 12, uid.JPEGLosslessSV1)
    read_radiograph(path)
    first = dicom_gdcm.HELPER.process
    assert first is not None
    first.kill()
    first.wait()
    np.testing.assert_array_equal(stored_pixels(path), film(12))  # a new helper
    second = dicom_gdcm.HELPER.process
    assert second is not None
    assert second.pid != first.pid
    monkeypatch.setattr(dicom_gdcm, "PATIENCE", -1.0)  # no time at all: the helper is killed while it decodes
    second.send_signal(signal.SIGSTOP)
    with pytest.raises(StudyRefused, match=r"unreadable pixel data: .*film\.dcm \(the JPEG frame ended or held up GDCM\)"):
        read_radiograph(path)
    monkeypatch.undo()
    np.testing.assert_array_equal(stored_pixels(path), film(12))


def test_films_are_read_in_forked_processes(tmp_path: Path) -> None:
    path = saved(tmp_path, film(12), 12, uid.JPEGLSLossless)
    expected = read_radiograph(path)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        for pixels in pool.map(read_radiograph, [path] * 4):
            np.testing.assert_array_equal(pixels, expected)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real DICOM files are not beside this checkout")
def test_the_real_files_decode_to_their_hashes_and_display_right() -> None:
    with (REAL / "dicom.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["pixel_sha256_16"]]
    assert len(rows) == 4
    for row in rows:
        digest = hashlib.sha256(stored_pixels(REAL / row["file"]).astype("<i4").tobytes()).hexdigest()[:16]
        assert digest == TURBO.get(row["pixel_sha256_16"], row["pixel_sha256_16"]), row["file"]
    normal = read_radiograph(REAL / "cr_chest_mono2_8bit_jpeg.dcm")
    np.testing.assert_array_equal(read_radiograph(REAL / "cr_chest_fake_mono1_8bit_jpeg.dcm"), 255 - normal)
    with pytest.raises(StudyRefused, match="no pixel data"):
        read_radiograph(REAL / "cr_chest_charset_tiny.dcm")
