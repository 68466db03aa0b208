from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sista.corpus.films import radiograph
from sista.corpus.films.pixels import box_factor, box_means, crop_borders, jpeg_draft
from sista.corpus.films.radiograph import decode_film, encode_film, open_radiograph, read_radiograph, resize_film, resize_mask, to_uint8
from sista.corpus.study import StudyRefused

from .png_made import png_of_16_bits

GRAY = np.linspace(0, 255, 60 * 40).astype(np.uint8).reshape(60, 40)


def test_png_8_bit_is_exact(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png"), GRAY)


def test_png_16_bit_keeps_its_values_and_is_windowed_by_percentile(tmp_path: Path) -> None:
    deep = GRAY.astype(np.uint16) * 16 + 1000
    deep[0, 0] = 65535  # a burnt-in mark must not darken the film
    Image.fromarray(deep).save(tmp_path / "a.png")
    read = read_radiograph(tmp_path / "a.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, deep)
    shown = to_uint8(read)
    assert shown.dtype == np.uint8
    assert shown[0, 0] == 255
    assert np.abs(shown[5:-5].astype(int) - GRAY[5:-5]).max() <= 3


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_png_of_16_bits_a_channel_keeps_all_of_them(tmp_path: Path, count: int) -> None:
    deep = GRAY.astype(np.uint16) * 16 + np.arange(40, dtype=np.uint16) % 16  # 12 bits: the upper byte alone has sixteen levels
    channels = np.repeat(deep[:, :, None], count, axis=2)
    if count in (2, 4):
        channels[..., -1] = 65535
        channels[:10, :, -1] = 0
    exif = Image.Exif()
    exif[0x0112] = 3
    for mark, shown in ((b"", deep), (exif.tobytes().removeprefix(b"Exif\0\0"), deep[::-1, ::-1])):
        (tmp_path / "a.png").write_bytes(png_of_16_bits(channels, mark))
        read = read_radiograph(tmp_path / "a.png")
        expected = shown.copy()
        if count in (2, 4):
            expected[slice(-10, None) if mark else slice(10)] = 0
        assert read.dtype == np.uint16
        np.testing.assert_array_equal(read, expected)


def test_png_of_16_bits_a_channel_is_bounded_by_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png_of_16_bits(np.zeros((50, 40, 4), dtype=np.uint16)))
    monkeypatch.setattr(radiograph, "MAX_DEEP", 8000)
    assert read_radiograph(tmp_path / "a.png").shape == (50, 40)
    monkeypatch.setattr(radiograph, "MAX_DEEP", 7999)
    with pytest.raises(StudyRefused, match="40 x 50 x 4 of 16 bit"):
        read_radiograph(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_film_is_turned_as_viewers_turn_it(tmp_path: Path, turn: int, ending: str) -> None:
    picture, exif = Image.fromarray(np.kron(GRAY[::6, ::5], np.ones((8, 8), np.uint8))), Image.Exif()
    exif[0x0112] = turn
    picture.save(tmp_path / f"a.{ending}", exif=exif, **({"quality": 95} if ending == "jpg" else {}))
    with Image.open(tmp_path / f"a.{ending}") as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened))
    read = open_radiograph(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read.pixels, shown)
    assert (read.source_height, read.source_width) == shown.shape
    small = open_radiograph(tmp_path / f"a.{ending}", 16)
    assert (small.source_height, small.source_width) == shown.shape
    assert (small.pixels.shape[0] > small.pixels.shape[1]) == (shown.shape[0] > shown.shape[1])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_every_png_mode_becomes_gray(tmp_path: Path, mode: str) -> None:
    Image.fromarray(GRAY).convert(mode).save(tmp_path / "a.png")
    read = read_radiograph(tmp_path / "a.png")
    assert read.shape == GRAY.shape
    assert read.dtype == np.uint8
    if mode != "1":
        assert np.abs(read.astype(int) - GRAY).max() <= 1


def test_transparency_lies_on_black(tmp_path: Path) -> None:
    alpha = np.full_like(GRAY, 255)
    alpha[:30] = 0
    Image.merge("LA", [Image.fromarray(np.full_like(GRAY, 200)), Image.fromarray(alpha)]).save(tmp_path / "a.png")
    read = read_radiograph(tmp_path / "a.png")
    assert (read[:30] == 0).all()
    assert (read[30:] == 200).all()


def test_a_huge_jpeg_is_reduced_while_decoding_and_looks_the_same(tmp_path: Path) -> None:
    y, x = np.mgrid[0:1200, 0:900]
    film = (127 + 80 * np.sin(x / 70) + 40 * np.cos(y / 90)).astype(np.uint8)
    Image.fromarray(film).save(tmp_path / "a.jpg", quality=95)
    whole, reduced = open_radiograph(tmp_path / "a.jpg"), open_radiograph(tmp_path / "a.jpg", 128)
    assert reduced.pixels.shape == (300, 225) or min(reduced.pixels.shape) >= 256
    assert (reduced.source_width, reduced.source_height) == (900, 1200)
    small, small_reduced = resize_film(whole.pixels, 128)[0], resize_film(reduced.pixels, 128)[0]
    assert np.abs(small.astype(int) - small_reduced).max() <= 3


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_unusable_files_are_refused_by_name(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(buffer, "JPEG")
    png = io.BytesIO()
    Image.fromarray(GRAY).save(png, "PNG")
    cases = {
        "cut.jpg": (buffer.getvalue()[:-200], "unreadable image"),
        "cut.png": (png.getvalue()[:-60], "unreadable image"),
        "head.png": (png.getvalue()[:20], "unreadable image"),
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"hello", "unknown image format"),
    }
    for name, (content, reason) in cases.items():
        with pytest.raises(StudyRefused, match=reason) as caught:
            read_radiograph(_file(tmp_path / name, content))
        assert name in str(caught.value)
    with pytest.raises(StudyRefused, match=r"no such file: .*gone\.png"):
        read_radiograph(tmp_path / "gone.png")
    with pytest.raises(StudyRefused, match="2-D uint8 or uint16"):
        read_radiograph(np.zeros((2, 2, 3), dtype=np.uint8))


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GRAY).save(tmp_path / "big.png")
    monkeypatch.setattr(radiograph, "MAX_PIXELS", 1000)
    with pytest.raises(StudyRefused, match=r"too many pixels: .*big\.png \(40 x 60"):
        read_radiograph(tmp_path / "big.png")


def test_resize_keeps_aspect_and_makes_the_long_side() -> None:
    small, scale = resize_film(GRAY, 30)
    assert small.shape == (30, 20)
    assert scale == 0.5
    same, one = resize_film(GRAY, 60)
    assert one == 1.0
    np.testing.assert_array_equal(same, GRAY)
    assert resize_film(GRAY.T, 120)[0].shape == (80, 120)
    assert abs(float(small.mean()) - float(GRAY.mean())) < 1


def test_encoding_is_deterministic_and_png_lossless() -> None:
    assert encode_film(GRAY) == encode_film(GRAY.copy())
    for lossless in ("png", "pgm"):
        np.testing.assert_array_equal(decode_film(memoryview(encode_film(GRAY, lossless))), GRAY)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_film(GRAY[:, :7], "pgm")))), GRAY[:, :7])
    with pytest.raises(OSError, match="bytes for"):
        decode_film(encode_film(GRAY, "pgm")[:-1])
    assert np.abs(decode_film(encode_film(GRAY)).astype(int) - GRAY).max() <= 6
    mask = GRAY > 100
    read = decode_film(encode_film(mask))
    assert read.dtype == bool
    np.testing.assert_array_equal(read, mask)


def test_masks_shrink_by_majority() -> None:
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, 20:] = True
    small = resize_mask(mask, 20, 20)
    np.testing.assert_array_equal(small, mask[::2, ::2])
    thin = np.zeros((40, 40), dtype=bool)
    thin[21, 4:36] = True  # a quarter of each pixel at a tenth of the size
    np.testing.assert_array_equal(np.flatnonzero(resize_mask(thin, 4, 4).any(axis=1)), [2])
    assert not resize_mask(np.zeros((40, 40), dtype=bool), 4, 4).any()


def test_black_borders_are_cropped_on_request() -> None:
    film = np.full((280, 300), 3, dtype=np.uint8)
    film[10:70, 25:90] = GRAY[:60, :1] // 2 + 60
    film[40, 50] = 3
    film[2, 5] = 255  # a speck is no film
    cropped, (x, y) = crop_borders(film)
    assert (x, y) == (25, 10)
    np.testing.assert_array_equal(cropped, film[10:70, 25:90])
    for whole in (np.zeros((9, 9), dtype=np.uint16), film[10:70, 25:90]):
        cropped, moved = crop_borders(whole)
        assert moved == (0, 0)
        np.testing.assert_array_equal(cropped, whole)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2"])
def test_box_means_are_means(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(np.iinfo(kind).min, np.iinfo(kind).max, (23, 31)).astype(kind)
    means = box_means(pixels, 4)
    assert means.shape == (5, 7)
    for row in range(5):
        for column in range(7):
            box = pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert abs(means[row, column] - box.astype(float).mean()) < 0.01


def test_jpeg_is_reduced_as_far_as_its_final_size_and_its_edge_allow() -> None:
    assert jpeg_draft(2544, 3056, 256) == (318, 382)
    assert jpeg_draft(2544, 3056, 512) == (636, 764)
    assert jpeg_draft(700, 600, 64) == (175, 150)  # 1/8 would end in half a box
    assert jpeg_draft(300, 300, 256) == (300, 300)
    assert jpeg_draft(300, 300, None) == (300, 300)
    assert jpeg_draft(1, 60000, 64) == (1, 60000)


def test_box_factors_leave_enough_and_prefer_to_drop_nothing() -> None:
    assert box_factor(3056, 2544, 256) == 4
    assert box_factor(600, 700, 100) == 2  # 3 would drop a column
    assert box_factor(3000, 2500, None) == 1
    assert box_factor(500, 400, 256) == 1
    for height, width, size in ((2991, 2430, 224), (3007, 2999, 128), (4280, 3520, 512)):
        factor = box_factor(height, width, size)
        assert min(height, width) // factor >= 2 * size
        assert max(height % factor / height, width % factor / width) * size < 0.5


def test_a_progressive_jpeg_of_endless_scans_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.jpg", progressive=True)
    assert read_radiograph(tmp_path / "a.jpg").shape == GRAY.shape
    monkeypatch.setattr(radiograph, "MAX_SCANS", 3)
    with pytest.raises(StudyRefused, match=r"decompression bomb: .*a\.jpg \(JPEG of [0-9]+ scans, at most 3\)"):
        read_radiograph(tmp_path / "a.jpg")


def test_a_path_with_the_signs_of_another_system_is_told(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "films" / "a.png")
    with pytest.raises(StudyRefused, match=r"^no such file: .*films\\a\.png \(it is there with / in the place of \\\)$"):
        open_radiograph(tmp_path / "films\\a.png")
    with pytest.raises(StudyRefused, match=r"^no such file: .*films\\b\.png$"):
        open_radiograph(tmp_path / "films\\b.png")
