"""Shapes against a loop over pixels."""

import numpy as np
import pytest

from sista.archives.drawings import Drawing, read_drawings


def slow_mask(shape: Drawing, height: int, width: int) -> np.ndarray:
    (x1, y1), (x2, y2) = shape.points.min(axis=0), shape.points.max(axis=0)
    mask = np.zeros((height, width), dtype=bool)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5, row + 0.5
            if shape.kind == "rectangle":
                mask[row, column] = x1 <= x <= x2 and y1 <= y <= y2
            elif shape.kind == "ellipse":
                mask[row, column] = ((x - (x1 + x2) / 2) / ((x2 - x1) / 2)) ** 2 + ((y - (y1 + y2) / 2) / ((y2 - y1) / 2)) ** 2 <= 1
            else:
                crossings = 0
                for (ax, ay), (bx, by) in zip(shape.points, [*shape.points[1:], shape.points[0]], strict=True):
                    if (ay <= y) != (by <= y) and x > ax + (y - ay) * (bx - ax) / (by - ay):
                        crossings += 1
                mask[row, column] = crossings % 2 == 1
    return mask


@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("kind", ["0", "1", "2"])
def test_masks_equal_a_loop_over_pixels(kind: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    points = draw.uniform(-4, 28, (2 if kind != "2" else 3 + seed, 2)).round(1)
    (shape,) = read_drawings(f"{kind} " + " ".join(map(str, points.ravel())))
    assert np.array_equal(shape.mask(20, 24), slow_mask(shape, 20, 24))


def test_a_polygon_box_is_the_plain_bounds_of_its_points() -> None:
    (shape,) = read_drawings("2 10 5 30 5 30 9 12 22")
    assert shape.box() == (10, 5, 20, 17)


def test_a_ring_drawn_twice_around_is_hollow() -> None:
    outer, inner = [(1, 1), (9, 1), (9, 9), (1, 9), (1, 1)], [(3, 3), (3, 7), (7, 7), (7, 3), (3, 3)]
    shape = Drawing("polygon", np.array(outer + inner, dtype=float))
    mask = shape.mask(10, 10)
    assert mask.sum() == 64 - 16
    assert not mask[4, 4]


def test_several_shapes_and_none() -> None:
    assert [shape.kind for shape in read_drawings("0 1 2 3 4;2 1 1 5 1 5 5; 1 0 0 4 4;")] == ["rectangle", "polygon", "ellipse"]
    assert read_drawings("") == read_drawings(" ; ") == []


def test_a_flat_shape_has_a_box_and_no_pixel() -> None:
    for text in ("1 3 3 3 9", "2 1 1 5 5 9 9"):
        (shape,) = read_drawings(text)
        assert shape.mask(12, 12).sum() == 0


@pytest.mark.parametrize("text", ["3 1 2 3 4", "0 1 2 3", "2 1 2 3 4", "1 a b c d", "0 1 2 3 nan", "0"])
def test_a_shape_that_cannot_be_read_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=text[:6]):
        read_drawings("0 1 2 3 4;" + text)
