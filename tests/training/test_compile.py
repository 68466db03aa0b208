"""torch.compile of the encoders."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sista.errors import SistaError
from sista.training.check import require_compiler
from tests.training.shared import environment

# in a process of its own: the shape checks of the tests are not for the compiler
SCRIPT = """
import sys, torch
from sista.corpus.corpus import Corpus
from tests.training.shared import assert_equal, gradients, make_fit
corpus = Corpus.open(sys.argv[1])
plain = gradients(make_fit(corpus, "sista"))
fit = make_fit(corpus, "sista")
fit.learner.encoder.compile_encoders()
found = gradients(fit)
compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
unused = {name: found.pop(name) for name in set(found) - set(plain)}
assert compiled >= 2 and not any(values.any() for values in unused.values()), (compiled, list(unused))
assert_equal(found, plain)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a C++ compiler, there is none"
)
def test_compiled_encoders_have_the_same_gradients(corpus_path: Path, tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    env = {**environment(), "PYTHONPATH": root, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(corpus_path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SistaError, match=r"run\.compile needs a C\+\+ compiler"):
        require_compiler()
