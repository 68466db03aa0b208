"""How right pseudo-labels are: by hand, and of a run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from pseudo_labels import RATES, Pairs  # noqa: E402

from sista.archives.build import build  # noqa: E402
from sista.archives.phantom import Phantom  # noqa: E402
from sista.training.pretrain import pretrain  # noqa: E402
from sista.training.settings import ModelSettings, OptimizerSettings, RunSettings  # noqa: E402


def test_quality_by_hand() -> None:
    """Labels 0 0 0 1 1 of truths 7 7 8 8 8; the first two studies are normal."""
    label = np.array([0, 0, 0, 1, 1])
    pairs = Pairs(np.array([7, 7, 8, 8, 8]), np.array([True, True, False, False, False]))
    found = pairs.quality(label, np.ones(5, dtype=bool))
    assert found == {"pairs": 0.4, "precision": 0.5, "recall": 0.5, "precision_abnormal": 0.3333, "recall_abnormal": 0.3333}
    some = pairs.quality(label, np.array([True, True, True, True, False]))
    assert some == {"pairs": 0.3, "precision": 0.3333, "recall": 0.25, "precision_abnormal": 0.0, "recall_abnormal": 0.0}
    none = pairs.quality(label, np.zeros(5, dtype=bool))
    assert none["precision"] is None
    assert none["recall"] == 0
    assert pairs.chance() == {"equal_pairs": 0.4, "equal_pairs_abnormal": 0.3333}


@pytest.mark.slow
def test_script(tmp_path: Path) -> None:
    corpus, run, early, other, out = (tmp_path / name for name in ("corpus", "run", "early", "other", "out.json"))
    build(Phantom(300, size=64), corpus, workers=1, progress=False, fractions=(0.6, 0.4, 0.0), teachers=["tfidf"])
    settings, quiet = OptimizerSettings(epochs=2, batch_size=32), RunSettings(progress=False, checkpoint_every=0)
    own = {"clusters": "4,8", "memory": 64, "every": 4, "ramp": 8}
    model = ModelSettings(image_encoder="sista_compact")
    pretrain(corpus, run, method="ifnd", settings=own, model=model, optimizer=settings, run=quiet)
    pretrain(corpus, early, method="ifnd", settings=own, model=model, optimizer=OptimizerSettings(epochs=0, batch_size=32), run=quiet)
    pretrain(corpus, other, method="clip", model=model, optimizer=OptimizerSettings(epochs=0, batch_size=32), run=quiet)
    command = [sys.executable, str(BENCHMARKS / "pseudo_labels.py"), "--data", str(corpus), "--out", str(out), "--model"]
    done = subprocess.run([*command, str(run)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text())
    assert list(found["mean"]) == [f"{rate:g}" for rate in RATES]
    pairs, recall = ([one[name] for one in found["mean"].values()] for name in ("pairs", "recall"))
    assert pairs == sorted(pairs)
    assert 0 <= pairs[0] < pairs[-1]
    assert recall == sorted(recall)
    assert 0 < found["equal_pairs"] < 1
    for wrong, message in ((early, "has not clustered"), (other, "is no run of ifnd")):
        refused = subprocess.run([*command, str(wrong)], capture_output=True, text=True, timeout=300, check=False)
        assert message in refused.stderr
