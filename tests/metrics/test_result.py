"""What a run leaves behind: whole, complete, readable; checksums that do not depend on order."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sista.errors import SistaError
from sista.metrics.result import REQUIRED, checksum, encoder_hash, read_run, require_folder, splits_of, write_run

IDS = {"study_id": ["s1", "s2"], "film_id": ["f1", "f2"], "subject_id": ["p1", "p2"], "split": ["test", "test"]}


def facts(**more):
    return {
        **dict.fromkeys(REQUIRED),
        "task": "probe",
        "metrics": {"auroc": {"value": float("nan")}},
        "arguments": {"data": Path("c")},
        **more,
    }


def test_a_run_comes_back(tmp_path):
    write_run(tmp_path / "run", facts(), {**IDS, "label/edema": np.array([1.0, np.nan]), "score/edema": [0.5, 0.25]})
    run = read_run(tmp_path / "run")
    assert run.result["metrics"]["auroc"]["value"] is None
    assert run.result["arguments"] == {"data": "c"}
    assert run.predictions["score/edema"].tolist() == [0.5, 0.25]
    assert np.isnan(run.predictions["label/edema"][1])
    json.loads((tmp_path / "run" / "result.json").read_text(), parse_constant=pytest.fail)
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"result.json", "predictions.parquet"}


def test_an_incomplete_run_is_the_callers_mistake(tmp_path):
    with pytest.raises(ValueError, match="encoder"):
        write_run(tmp_path / "run", {name: 1 for name in REQUIRED if name != "encoder"}, IDS)
    with pytest.raises(ValueError, match="split"):
        write_run(tmp_path / "run", facts(), {name: IDS[name] for name in ("study_id", "film_id", "subject_id")})


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(SistaError, match=r"result\.json and predictions\.parquet missing"):
        read_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SistaError, match="is a file"):
        write_run(tmp_path / "file", facts(), IDS)
    write_run(tmp_path / "run", facts(), IDS)
    (tmp_path / "run" / "result.json").write_text("{")
    with pytest.raises(SistaError, match="damaged"):
        read_run(tmp_path / "run")


def test_checksums_are_of_the_set_and_by_the_documented_command():
    assert checksum(["b", "a"]) == hashlib.sha256(b"a\nb\n").hexdigest() == checksum(["a", "b"])
    found = splits_of(["x", "y", "z"], ["train", "test", "train"])
    assert found == {"train": {"films": 2, "sha256": checksum(["x", "z"])}, "test": {"films": 1, "sha256": checksum(["y"])}}


def test_the_hash_is_of_the_weights_file(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    expected = hashlib.sha256(b"weights").hexdigest()
    assert encoder_hash(tmp_path) == encoder_hash(tmp_path / "model") == expected
    assert encoder_hash(f"{tmp_path}/model/model.safetensors@resnet50") == expected
    assert encoder_hash("timm:resnet50") is None
    other = tmp_path / "run@seed1"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"others")
    assert encoder_hash(other) == hashlib.sha256(b"others").hexdigest()
    assert encoder_hash(f"{other}/model.safetensors@resnet50") == encoder_hash(other)


def test_a_file_in_the_way_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below" / "run"):
        with pytest.raises(SistaError, match=f"{tmp_path}/file is a file; give a folder"):
            require_folder(out, "probe", {})
    require_folder(tmp_path / "new" / "run", "probe", {})
    require_folder(None, "probe", {})


def test_a_run_takes_the_place_of_a_damaged_run_and_not_of_an_embedding(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(SistaError, match="which must stay with its vectors"):
        require_folder(tmp_path, "probe", {})
    (tmp_path / "predictions.parquet").write_bytes(b"")
    require_folder(tmp_path, "probe", {})
    for damaged in ("{", "[]", '{"task": "probe", "arguments": null}'):
        (tmp_path / "result.json").write_text(damaged)
        require_folder(tmp_path, "probe", {"seed": 1})


def test_a_run_of_other_arguments_is_not_lost(tmp_path):
    arguments = {"data": Path("c"), "shares": (0.1, 1.0), "seed": 0, "device": "cpu", "out": tmp_path}
    write_run(tmp_path, facts(arguments=arguments), IDS)
    before = (tmp_path / "result.json").read_bytes()
    for again in (arguments, {**arguments, "device": "cuda", "out": tmp_path / "." / "x"}, {**arguments, "of_a_later_version": True}):
        require_folder(tmp_path, "probe", again)
    with pytest.raises(SistaError, match=r"other arguments.* \(shares is \[0\.1, 1\.0\] there, null here; seed is 0 there, 1 here\)"):
        require_folder(tmp_path, "probe", {**arguments, "shares": None, "seed": 1})
    with pytest.raises(SistaError, match="holds a run of `sista probe`"):
        require_folder(tmp_path, "classify", arguments)
    with pytest.raises(SistaError, match="other arguments"):
        write_run(tmp_path, facts(arguments={**arguments, "seed": 1}), IDS)
    assert (tmp_path / "result.json").read_bytes() == before
