"""Every method of one term trains a few steps on a small corpus; a method of one's own does too, or is refused clearly."""

import pytest

from sista.errors import SistaError
from sista.methods import methods, settings_of
from sista.training.pretrain import pretrain
from sista.training.settings import OptimizerSettings, RunSettings


@pytest.mark.parametrize("method", ["clip", "convirt", "siglip", "medclip", "imitate", "sat", "ifnd"])
def test_a_few_steps(corpus_path, tmp_path, method):
    settings = {"clusters": "4,8", "memory": 64, "every": 1, "ramp": 2} if method == "ifnd" else {}
    summary = pretrain(
        corpus_path,
        tmp_path / "run",
        method=method,
        settings=settings,
        teacher="labels",
        optimizer=OptimizerSettings(epochs=1, batch_size=24),
        run=RunSettings(progress=False, evaluate_every=2),
    )
    assert summary["steps"] in (3, 4)
    assert summary["last"]["loss"] > 0
    for name in ("valid_loss", "valid_i2t_r10", "share_negatives", "temperature", "instance"):
        assert name in summary["last"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.to_be_found:Method", "No module named 'nowhere'"),
        ("sista.methods.clip:Clap", "no attribute 'Clap'"),
        (".clip:Clip", "module:Class"),
        ("pathlib:Path", "must be a subclass"),
        ("sista.methods.method:Method", "Settings are a dataclass"),
    ],
)
def test_a_method_of_one_s_own_that_cannot_be_used(name, message):
    with pytest.raises(SistaError, match=message):
        settings_of(name, {})


def test_a_method_of_one_s_own_by_its_place():
    assert settings_of("sista.methods.clip:Clip", {"temperature": 0.1}).temperature == 0.1
    assert methods("sista.methods.clip:Clip")["settings"] == methods("clip")["settings"]
    assert methods("sista.methods.clip:Clip")["about"].startswith("L = 1/2 mean_i")
