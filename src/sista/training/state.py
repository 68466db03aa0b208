"""Checkpoints from which a run goes on exactly: safetensors and JSON, each replaced as a whole."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from sista.errors import SistaError
from sista.models.checkpoint import stored_tensors

KEEP = 2


def save_checkpoint(folder: Path, step: int, method: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Write `folder/step-NNNNNNN`, then drop all but the newest two; a half-written one never carries that name."""
    final = folder / f"step-{step:07d}"
    partial = folder / f".partial-{step:07d}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_file(stored_tensors(method.state_dict()), partial / "method.safetensors")
        tensors, groups = _flatten(optimizer)
        save_file(tensors, partial / "optimizer.safetensors", metadata=groups)
        (partial / "state.json").write_text(json.dumps({**state, "step": step}) + "\n")
        for file in partial.iterdir():
            _flush(file)
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if error.errno == errno.ENOSPC:
            raise SistaError(
                f"disk full while writing {final}; free space and give the same command again: it goes on from the last checkpoint"
            ) from error
        raise
    except Exception as error:  # safetensors wraps what the system says into an error of its own
        shutil.rmtree(partial, ignore_errors=True)
        if "No space left" in str(error):
            raise SistaError(
                f"disk full while writing {final}; free space and give the same command again: it goes on from the last checkpoint"
            ) from error
        raise
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    return sorted(p for p in folder.glob("step-*") if re.fullmatch(r"step-\d{7,}", p.name) and (p / "state.json").is_file())


def load_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put a checkpoint's tensors into `method` and `optimizer` and return its state."""
    try:
        method.load_state_dict(load_file(path / "method.safetensors"))
        _unflatten(path / "optimizer.safetensors", optimizer)
        return json.loads((path / "state.json").read_text())
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise SistaError(
            f"checkpoint {path} cannot be read ({error}); remove it to go on from the one before, or choose another --out"
        ) from error


def _flatten(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{key}": value.detach().cpu().contiguous() for index, slots in state["state"].items() for key, value in slots.items()
    }
    return tensors, {"param_groups": json.dumps(state["param_groups"])}


def _unflatten(path: Path, optimizer: torch.optim.Optimizer) -> None:
    slots: dict[int, dict[str, torch.Tensor]] = {}
    with safe_open(path, "pt") as file:
        groups = json.loads(file.metadata()["param_groups"])
        for name in file.keys():  # noqa: SIM118  it is no mapping
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = file.get_tensor(name)
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if value.shape == parameter.shape:  # the fused kernel walks parameter and moments by memory order: lay them out alike
                state[key] = torch.empty_like(parameter).copy_(value)


def _flush(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
