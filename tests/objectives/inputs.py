"""Small inputs that the tests share."""

import math

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode


def fx(shape, s=0.0):
    """The fixed tensors of the golden values: sin(0.37 i + 0.011 i^2 + s), i the row-major index."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(0.37 * i + 0.011 * i * i + s).reshape(shape)


def unit(tensor):
    return F.normalize(tensor, dim=-1)


def random_unit(*shape, seed=0, dtype=torch.float64):
    return unit(torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)))


def alike_teacher(n=6, seed=3):
    """Report vectors with an equal pair (0, 1), a close pair (2, 3) and no relation elsewhere."""
    teacher = random_unit(n, 8, seed=seed)
    teacher[1] = teacher[0]
    teacher[3] = unit(teacher[2] + 0.15 * teacher[3])
    return teacher


def token_batch(b=4, l=5, p=9, d=6, seed=0, dtype=torch.float64):  # noqa: E741
    """Words, patches, mask, types, weights of b reports of 5, 4, 1 (one-word), 3, ... words; words repeat within and across reports."""
    words, patches = random_unit(b, l, d, seed=seed, dtype=dtype), random_unit(b, p, d, seed=seed + 1, dtype=dtype)
    lengths = torch.tensor([5, 4, 1, 3])[torch.arange(b) % 4].clamp(max=l)
    mask = torch.arange(l)[None] < lengths[:, None]
    generator = torch.Generator().manual_seed(seed + 2)
    types = torch.randint(1, 7, (b, l), generator=generator) * mask
    types[0, 1] = types[0, 0]
    weight = torch.rand(b, l, generator=generator, dtype=dtype) * mask
    return words, patches, mask, types, weight


class Operators(TorchDispatchMode):
    """The names of the operators that run inside it."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


# operators that wait for the device to read a value or a size back
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2", "aten::item"}


def operators(run):
    """Operators of `run()` and of its backward pass, none of which may wait for the device."""
    with Operators() as seen:
        loss = run()
        if loss.requires_grad:
            loss.backward()
    waiting = WAITING & set(seen.names)
    assert not waiting, f"reads values back from the device: {waiting}"
    return len(seen.names)
