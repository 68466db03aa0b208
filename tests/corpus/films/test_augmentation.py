from __future__ import annotations

import pytest
import torch

from sista.corpus.films.augmentation import MEAN, STD, Ranges, augment, eval_view

FILMS = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NOTHING = Ranges(shift=0, scale=0, rotation=0, gamma=0, contrast=0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_function_of_the_generator_alone() -> None:
    torch.manual_seed(1)
    one = augment(FILMS, 32, Ranges(), generator(5))
    torch.manual_seed(2)
    assert torch.equal(one, augment(FILMS, 32, Ranges(), generator(5)))
    assert not torch.equal(one, augment(FILMS, 32, Ranges(), generator(6)))
    assert one.shape == (3, 1, 32, 32)
    assert one.dtype == torch.float32


def test_without_ranges_it_is_the_plain_view() -> None:
    torch.testing.assert_close(augment(FILMS, 32, NOTHING, generator(0)), eval_view(FILMS, 32), atol=2e-3, rtol=0)


def test_values_stay_those_of_a_normalised_film() -> None:
    view = augment(FILMS, 16, Ranges(contrast=0.9, gamma=1), generator(0))
    assert view.shape == (3, 1, 16, 16)
    assert view.min() >= (0 - MEAN) / STD
    assert view.max() <= (1 - MEAN) / STD


def test_a_shift_moves_the_film_and_brings_in_black() -> None:
    films = torch.full((64, 1, 20, 20), 200, dtype=torch.uint8)
    view = augment(films, 20, Ranges(shift=0.25, scale=0, rotation=0, gamma=0, contrast=0), generator(0))
    black = (view < (0.4 - MEAN) / STD).float().mean(dim=(1, 2, 3))
    assert black.max() > 0.2
    assert black.max() < 0.5


def test_left_stays_left() -> None:
    films = torch.zeros(200, 1, 32, 32, dtype=torch.uint8)
    films[..., 4:28, 4:10] = 255
    view = augment(films, 32, Ranges(), generator(0))
    assert bool((view[..., :16].mean(dim=(1, 2, 3)) > view[..., 16:].mean(dim=(1, 2, 3))).all())


@pytest.mark.parametrize("size", [16, 32, 48])
def test_eval_view_resizes_and_normalises(size: int) -> None:
    view = eval_view(torch.full((2, 1, 32, 32), 255, dtype=torch.uint8), size)
    assert view.shape == (2, 1, size, size)
    torch.testing.assert_close(view, torch.full_like(view, (1 - MEAN) / STD))


def test_gradient_free_and_safe_in_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert augment(FILMS, 32, Ranges(), generator(1)).dtype == torch.float32
