"""What a grid says is checked: names, settings, splits, and that its comparison and its tuning are even."""

from pathlib import Path
from typing import Any

import pytest

from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import benchmark
from sista.errors import SistaError

from .inputs import TINY, TRIALS, VALID, write


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"prob": {"data": "main"}}}, r"unknown task 'prob': did you mean 'probe'"),
        ({"tasks": {"probe": {"data": "mian"}}}, r"data 'mian', which is none of the corpora main"),
        ({"tasks": {"zeroshot": {"data": "main", "split": "tets"}}}, r"task 'zeroshot' has split 'tets': did you mean 'test'"),
        ({"tasks": {"zeroshot": {"data": "main", "metrics": "auroc"}}}, r"metrics of task 'zeroshot' must be a list of names, not 'auroc'"),
        ({"tasks": {"zeroshot": {"data": "main", "task": ["zeroshot"]}}}, r"unknown task \['zeroshot'\]"),
        ({"tasks": {"zeroshot": {"data": "main", "model": "x"}}}, r"task 'zeroshot' has a 'model', but that is the run that is scored"),
        ({"tasks": {"zeroshot": {"data": "main", "out": "x"}}}, r"task 'zeroshot' has a 'out', but that is a folder of the grid's own"),
        ({"tasks": {"controls": {"data": "main", "split": "train"}}}, r"task 'controls' has split 'train': \(known: test, valid\)"),
        ({"tasks": {"zeroshot": {"data": "main", 5: "x"}}}, r"task 'zeroshot' has 5, which is no name of an argument"),
        (
            {"corpora": {**TINY["corpora"], "few": {**TINY["corpora"]["main"], "seed": 6}}, "tasks": {"controls": {"data": "few"}}},
            r"task 'controls' is on corpus 'few', but 'untrained' learns from 'main', by another tokenizer",
        ),
        (
            {
                "corpora": {**TINY["corpora"], "few": {**TINY["corpora"]["main"], "seed": 6}},
                "tasks": {"controls": {"data": "main"}},
                "methods": {"clip": {}, "clip, few": {"method": "clip", "data": "few"}},
            },
            r"but 'clip, few' learns from 'few'",
        ),
        ({"seeds": [0, -1]}, r"seeds must be a list of whole numbers, 0 or more, not \[0, -1\]"),
        ({"methods": {"clip": {"method": 5}}}, r"method of method 'clip' must be a name, not 5"),
        ({"methods": {"clip": {"teacher": ["rules"]}}}, r"teacher of method 'clip' must be a name, not \['rules'\]"),
        ({"methods": {"clip": {"over": ["sat"]}, "sat": {}}}, r"over of method 'clip' must be a name, not \['sat'\]"),
        ({"methods": {"clip": {"reference": "no"}}}, r"reference of method 'clip' must be true or false, not 'no'"),
        ({"methods": {"clip": {"settings": {1: 2}}}}, r"settings of method 'clip' has a setting 1, which is no name"),
        ({"methods": {"clop": {}}}, r"unknown method 'clop'"),
        ({"methods": {"sista": {"settings": {"sigmaa": 1}}}}, r"no setting 'sigmaa'"),
        ({"methods": {"sista": {"settings": {"mode": "elminate"}}}}, r"unknown target mode 'elminate': did you mean 'eliminate'"),
        ({"methods": {"clip": {}, "medclip": {}}}, r"'medclip' can do nothing with teacher 'tfidf'; give one of labels, rules, oracle"),
        ({"methods": {"clip": {"teacher": "ruls"}}}, r"'clip' has teacher 'ruls': did you mean 'rules'"),
        ({"pretrain": {**TINY["pretrain"], "settings": {"token_weight": 1.0}}}, r"no setting 'token_weight'"),
        ({"pretrain": {**TINY["pretrain"], "method": "sista"}}, r"methods are named under `methods`, leave it out"),
        ({"pretrain": {**TINY["pretrain"], "epochs": 1}}, r"pretrain has an unknown key 'epochs'"),
        ({"methods": {"clip": {"data": "mian"}}}, r"clip has data 'mian', which is none of the corpora main"),
        ({"methods": {"clip": {"data": ["main"]}}}, r"clip has data \['main'\], which is none of the corpora main"),
        ({"methods": {"clip": {"run": "fp32"}}}, r"run of method 'clip' must be a mapping from settings, not 'fp32'"),
        ({"methods": {"clip": {"run": None}}}, r"run of method 'clip' must be a mapping from settings, not None"),
        ({"methods": {"clip": {"run": {"seed": 7}}}}, r"run of method 'clip' has a seed; the grid's own `seeds` are those of its runs"),
        ({"pretrain": {**TINY["pretrain"], "run": {"seed": 7}}}, r"run of pretrain has a seed"),
        ({"encoders": {"compact": {"optimizer": 0.1}}}, r"optimizer of encoder 'compact' must be a mapping"),
        (
            {"methods": {"sista": {"model": {"image_encoder": "resnet18"}}}},
            r"'sista' has its own image_encoder; encoders are named under",
        ),
        ({"methods": {"sista": {"epochs": 1}}}, r"method 'sista' has an unknown key 'epochs'"),
        ({"corpora": {"main": {}}}, r"needs an archive to build from, or the path"),
        ({"corpora": {"main": {"path": None}}}, r"corpus 'main' has None for its archive or path"),
        ({"baseline": "clib"}, r"baseline 'clib' is none of its methods: did you mean 'clip'"),
        ({"methods": {"clip": {"over": "clip"}, "sat": {}}}, r"'clip' is to be over 'clip', which is no other method"),
        ({"methods": {"clip": {"over": "sta"}, "sat": {}}}, r"which is no other method: did you mean 'sat'"),
        ({"methods": {"clip": {"over": "sat"}, "sat": {}}}, r"'clip' is to be over 'sat', but the grid has no baseline"),
        ({"methods": {"clip": {"trials": [{}]}}}, r"'clip' has trials, but the grid has no `tune`"),
        ({"tune": {"seeds": [9], "task": {}}}, r"no method has trials"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        benchmark(write(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tune", "methods", "message"),
    [
        ({"seeds": [9], "task": VALID, "trials": 2}, TRIALS, r"unknown key 'trials'"),
        ({"seeds": [9], "task": {**VALID, "split": "test"}}, TRIALS, r"must be scored on `split: valid`"),
        ({"seeds": [1, 9], "task": VALID}, TRIALS, r"share seeds \[1\]"),
        ({"seeds": [9], "task": {**VALID, "data": "no"}}, TRIALS, r"`data` \(a corpus\)"),
        ({"seeds": 9, "task": VALID}, TRIALS, r"the seeds of tune must be a list of whole numbers, 0 or more, not 9"),
        ({"seeds": [], "task": VALID}, TRIALS, r"tune needs a list of seeds"),
        ({"seeds": [9, 9], "task": VALID}, TRIALS, r"a seed stands twice in the seeds of tune \[9, 9\]"),
        ({"seeds": [9], "task": "zeroshot"}, TRIALS, r"tune must be a mapping"),
        ({"seeds": [9], "task": {**VALID, 5: "x"}}, TRIALS, r"the task of tune has 5, which is no name of an argument"),
        (
            {"seeds": [9], "task": {**VALID, "task": "ground", "metric": "pointing_game"}},
            TRIALS,
            r"metric 'pointing_game': did you mean 'pointing_game/phrase'",
        ),
        ({"seeds": [9], "task": {**VALID, "metric": "aurok"}}, TRIALS, r"metric 'aurok': did you mean 'auroc'"),
        (
            {"seeds": [9], "task": {**VALID, "task": "controls", "metric": "position_share"}},
            TRIALS,
            r"tune needs a list of seeds, and a task",
        ),
        ({"seeds": [9], "task": VALID, "pretrain": {"data": "main"}}, TRIALS, r"leave `data` out"),
        ({"seeds": [9], "task": VALID, "pretrain": {"method": "sista"}}, TRIALS, r"leave `method` out"),
        ({"seeds": [9], "task": VALID, "pretrain": {"epochs": 1}}, TRIALS, r"tune's pretrain has an unknown key 'epochs'"),
        ({"seeds": [9], "task": VALID}, {"clip": {"trials": [None, {}]}}, r"must be a list of mappings"),
        ({"seeds": [9], "task": VALID}, {**TRIALS, "sat": {"trials": [{}]}}, r"different numbers of trials"),
        (
            {"seeds": [9], "task": VALID},
            {"clip": {"trials": [{}, {"settings": {"temperature": 0.07}}]}},
            r"two trials of 'clip' come to the same",
        ),
        *(
            ({"seeds": [9], "task": VALID}, {"clip": {"trials": [{}, same]}}, r"two trials of 'clip' come to the same")
            for same in ({"optimizer": {"batch_size": 32}}, {"optimizer": {"learning_rate": 2e-3}}, {"teacher": "tfidf"})
        ),
        ({"seeds": [9], "task": VALID}, {"clip": {"trials": [{"epochs": 1}]}}, r"a trial of 'clip' has an unknown key 'epochs'"),
        ({"seeds": [9], "task": VALID}, {"clip": {"trials": [{"settings": None}]}}, r"settings of a trial of 'clip' must be a mapping"),
        ({"seeds": [9], "task": VALID}, {"clip": {"trials": [{"settings": {"sigma": 1}}]}}, r"no setting 'sigma'"),
        ({"seeds": [9], "task": VALID}, {"clip": {"trials": [{"teacher": "tdidf"}]}}, r"has teacher 'tdidf': did you mean 'tfidf'"),
    ],
)
def test_tuning_is_even_and_never_on_test(tmp_path: Path, tune: dict[str, Any], methods: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        read_grid(write(tmp_path, tune=tune, methods=methods))


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    """YAML 1.1 takes 2e-3 for text."""
    grid = write(tmp_path, tune={"seeds": [9], "task": VALID}, methods={"clip": {"trials": [{}, {"optimizer": {"learning_rate": 7}}]}})
    stated = grid.read_text()
    for number in ("2e-3", "2E-3", "+.2e-2", "20.e-4"):
        grid.write_text(stated.replace("learning_rate: 7", f"learning_rate: {number}"))
        with pytest.raises(SistaError, match=r"two trials of 'clip' come to the same"):
            read_grid(grid)
    grid.write_text(stated.replace("learning_rate: 7", "learning_rate: 3e-3"))
    assert read_grid(grid).methods["clip"]["trials"][1]["optimizer"] == {"learning_rate": 0.003}
    grid.write_text(stated.replace("name: tiny", "name: 12e5f"))
    assert read_grid(grid).name == "12e5f"


def test_trials_that_differ_from_the_shared_settings_are_no_repetition(tmp_path: Path) -> None:
    trials = {"clip": {"trials": [{}, {"optimizer": {"batch_size": 64}}, {"teacher": "rules"}]}}
    assert read_grid(write(tmp_path, tune={"seeds": [9], "task": VALID}, methods=trials)).tune
