"""Set-up for all tests: shapes checked, one thread, no network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jaxtyping

hook = jaxtyping.install_import_hook(["sista.objectives", "sista.models"], "beartype.beartype")

import torch  # noqa: E402  after the hook, as everything that may import sista

torch.set_num_threads(1)
