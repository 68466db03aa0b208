"""The commands of docs/scaling.md have options that exist."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from sista.cli import _parse
from sista.training.pretrain import pretrain

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text()
COMMANDS = [
    re.sub(r'"\$\(.*?\):29500"', "node0:29500", block).replace('"$SLURM_NNODES"', "4").replace("srun ", "")
    for block in re.findall(r"^    ((?:srun )?(?:torchrun|sista) (?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
]


def test_the_page_has_them_all() -> None:
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_options_exist(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command.replace("\\\n", " "))
    if words[0] == "torchrun":
        given = get_args_parser().parse_args(words[1:])
        assert given.module
        words = [given.training_script, *given.training_script_args]
    assert words[:2] == ["sista", "pretrain"]
    values = _parse("pretrain", words[2:], pretrain)
    stated = [re.search(rf"--{name}[ =](\d+)", command) for name in ("nnodes", "nproc_per_node")]
    processes = math.prod(int(one[1]) for one in stated if one)
    assert values["optimizer"].batch_size % processes == 0
