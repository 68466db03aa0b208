"""The command line: quick help, one JSON object as the last line, clear errors with a non-zero exit."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sista.cli import VERBS, main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_is_quick_and_names_every_command() -> None:
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "sista", "--help"], capture_output=True, text=True, check=True)
    assert time.perf_counter() - begin < 1.0
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", [v for v in VERBS if v != "build"])
def test_each_command_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert "usage: sista " + verb in capsys.readouterr().out


@pytest.mark.parametrize("archive", ["phantom", "table"])
def test_build_has_help_for_each_archive(archive: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["build", archive, "--help"])
    assert "--out" in capsys.readouterr().out


def test_the_whole_way_by_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, model = tmp_path / "corpus", tmp_path / "run"
    code, out, _ = run(
        capsys, "build", "phantom", "--count", 120, "--size", 64, "--out", corpus, "--fractions", "[0.6,0.2,0.2]", "--workers", 1, "--json"
    )
    assert code == 0
    assert json.loads(out.splitlines()[-1])["rows"] == 120
    code, out, _ = run(
        capsys,
        "pretrain",
        "--data",
        corpus,
        "--out",
        model,
        "--optimizer.batch-size",
        16,
        "--optimizer.epochs",
        1,
        "--settings.sigma",
        0.5,
        "--json",
    )
    assert code == 0
    assert json.loads(out.splitlines()[-1])["steps"] > 0
    assert json.loads((model / "run.json").read_text())["settings"]["sigma"] == 0.5
    for verb in ("zeroshot", "retrieve", "ground"):
        code, out, _ = run(capsys, verb, "--model", model, "--data", corpus, "--json")
        assert code == 0
        assert json.loads(out.splitlines()[-1])["task"] == verb
    code, out, _ = run(capsys, "probe", "--model", model, "--data", corpus, "--shares", "[1.0]", "--draws", "[1]", "--json")
    assert code == 0
    assert set(json.loads(out.splitlines()[-1])["auroc"]) == {"1.0"}
    code, out, _ = run(capsys, "check", corpus)
    assert code == 0
    assert "120" in out
    for name in ("a", "b"):
        run(capsys, "zeroshot", "--model", model, "--data", corpus, "--out", tmp_path / name)
    code, out, _ = run(capsys, "compare", tmp_path / "a", tmp_path / "b", "--metric", "auroc")
    assert code == 0
    assert re.search(r"difference: 0 \[0, 0\](, dropped \d+)?, p 1\n", out)


def test_config_file(tmp_path: Path, corpus_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("method: clip\noptimizer:\n  batch_size: 24\n  epochs: 1\nrun:\n  progress: false\n")
    code, out, _ = run(capsys, "pretrain", "--config", config, "--data", corpus_path, "--out", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["method"] == "clip"
    before = ("pretrain", "--optimizer.epochs", "0", "--config", config, "--data", corpus_path, "--out", tmp_path / "floor", "--json")
    code, out, _ = run(capsys, *before)
    assert json.loads(out.splitlines()[-1])["steps"] == 0  # what is given beside a file wins, before it as well as behind it


def test_a_figure_that_is_not_there_is_null(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sista.archives.registry.archives", lambda: {"share": float("nan"), "all": [1.0, float("inf")], "at": Path("x")})
    assert run(capsys, "archives", "--json")[:2] == (0, '{"share": null, "all": [1.0, null], "at": "x"}\n')


def test_a_window_by_number_in_a_file(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "build.yaml").write_text("window: 0\nframe: 1\n")
    code, out, _ = build_table(capsys, table, "--config", tmp_path / "build.yaml", "--json")
    assert code == 0
    kept = json.loads((Path(json.loads(out.splitlines()[-1])["corpus"]) / "corpus.json").read_text())
    assert kept["display"] == {"window": 0, "frame": 1}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six films with reports; a test spoils one."""
    from PIL import Image

    rows = ["image,text,patient,split"]
    for number, split in enumerate(("train", "train", "train", "valid", "test", "test")):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,Small left pleural effusion number {number}.,p{number},{split}")
    (tmp_path / "films.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "films.csv"


def build_table(capsys: pytest.CaptureFixture[str], table: Path, *more: object) -> tuple[int, str, str]:
    arguments = (
        "--table",
        table,
        "--subject-column",
        "patient",
        "--split-column",
        "split",
        "--size",
        32,
        "--workers",
        1,
        "--progress",
        "false",
    )
    return run(capsys, "build", "table", *arguments, "--out", table.parent / "out", *more)


@pytest.mark.parametrize(
    ("spoil", "said", "more"),
    [
        (lambda t: t.write_text(t.read_text().replace("patient", "pat")), "no column 'patient'", []),
        (lambda t: t.write_text(t.read_text().replace(",", ";")), "separated by ';'", []),
        (lambda t: (t.parent / "2.png").write_bytes(b"\x89PNG\r\n\x1a\ncut"), "2.png", ["--on-error", "refuse"]),
        (lambda t: (t.parent / "2.png").unlink(), "2.png", ["--on-error", "refuse"]),
        (
            lambda t: t.write_text(t.read_text().replace("Small left pleural effusion number 3.", "")),
            "empty report",
            ["--on-error", "refuse"],
        ),
        (lambda t: t.write_text(t.read_text().replace("p4,test", "p0,test")), "p0", []),
        (lambda t: t.write_text(t.read_text().replace("valid", "vlid")), "'vlid'", []),
        (lambda t: t.unlink(), "no such file", []),
        (lambda t: t.write_text("image,text,patient,split\n"), "no rows", []),
        (lambda t: None, "image_format", ["--image-format", "tiff"]),
    ],
)
def test_bad_tables_get_one_clear_line(
    spoil: Callable[[Path], object], said: str, more: list[str], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(table)
    code, _, err = build_table(capsys, table, *more)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_what_is_left_out_is_counted_and_named(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table.parent / "2.png").write_bytes(b"\x89PNG\r\n\x1a\ncut")
    code, out, _ = build_table(capsys, table, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["rows"], told["left_out"]) == (5, 1)
    assert "2.png" in Path(told["left_out_named_in"]).read_text()


def test_a_switch_needs_no_value(run_path: Path, corpus_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for switch in (["--untrained"], ["--untrained", "true"]):
        code, out, _ = run(capsys, "probe", "--model", run_path, *switch, "--data", corpus_path, "--shares", "1", "--json")
        assert code == 0
        assert json.loads(out)["untrained"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretain"], "did you mean 'pretrain'"),
        (["pretrain", "--dta", "x"], "did you mean 'data'"),
        (["pretrain", "--data", "CORPUS", "--out", "OUT", "--optimizer.batchsize", "3"], "did you mean 'optimizer.batch_size'"),
        (["pretrain", "--data", "CORPUS", "--out", "OUT", "--method", "sitsa"], "did you mean 'sista'"),
        (["pretrain", "--data", "CORPUS", "--out", "OUT", "--settings.sigmaa", "1", "--optimizer.batch_size", "8"], "did you mean 'sigma'"),
        (["pretrain", "--data", "CORPUS", "--out", "OUT", "--optimizer.batch_size", "8", "--model.image_encoder", "resnet_50"], "resnet50"),
        (["pretrain", "--data", "CORPUS", "--out", "OUT", "--optimizer.epochs", "many"], "epochs"),
        (["pretrain", "--data", "NOWHERE", "--out", "OUT"], "sista build"),
        (["build", "fantom", "--out", "OUT"], "did you mean 'phantom'"),
        (["check", "tabel"], "'tabel' is neither a corpus' folder nor an archive: did you mean 'table'"),
        (["check", "NOWHERE"], "no such folder"),
        (["build", "phantom", "--out", "OUT"], "count"),
        (["zeroshot", "--model", "NOWHERE", "--data", "CORPUS"], "does not exist"),
        (["zeroshot", "--model", "RUN"], "--data"),
        (["zeroshot", "--model", "RUN", "--image", "NOWHERE"], "no such file"),
        (["ground", "--model", "RUN", "--image", "x.png"], "--phrase"),
        (["retrieve", "--model", "RUN", "--data", "CORPUS", "--split", "tset"], "test"),
        (["probe", "--model", "RUN", "--data", "CORPUS", "--labels", "oedema"], "edema"),
    ],
)
def test_mistakes_get_one_clear_line(
    arguments: list[str], said: str, corpus_path: Path, run_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"CORPUS": corpus_path, "RUN": run_path, "OUT": tmp_path / "out", "NOWHERE": tmp_path / "nowhere"}
    code, out, err = run(capsys, *[places.get(a, a) for a in arguments])
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("where", ["a file", "a file/below"])
def test_a_file_where_a_folder_belongs_is_told_in_a_line(
    where: str, tmp_path: Path, corpus_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a file").write_text("")
    (tmp_path / "grid.yaml").write_text(GRID.format(corpus=corpus_path))
    for command in (
        ["pretrain", "--data", str(corpus_path), "--out", str(tmp_path / where)],
        ["build", "phantom", "--count", "4", "--out", str(tmp_path / where)],
        ["benchmark", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / where), "--commands", "true"],
    ):
        assert main(command) == 2, command
        assert str(tmp_path / "a file") in capsys.readouterr().err
    monkeypatch.setattr(Path, "mkdir", refused)
    assert main(["pretrain", "--data", str(corpus_path), "--out", str(tmp_path / "new"), "--optimizer.batch-size", "24"]) == 2
    assert capsys.readouterr().err == f"sista pretrain: {tmp_path / 'new'}: Permission denied\n"
    monkeypatch.undo()
    assert main(["check", str(corpus_path), "--page", str(tmp_path)]) == 2
    assert "is a folder; give the name of an HTML file" in capsys.readouterr().err


def test_of_several_processes_the_first_alone_says_something(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for rank, world, speaks in (("1", "2", False), ("0", "2", True), ("1", "1", True)):  # the last: a RANK that is none of torchrun's
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        assert main(["archives", "--json"]) == 0
        assert bool(capsys.readouterr().out) == speaks


GRID = """
name: tiny
corpora: {{main: {{path: "{corpus}"}}}}
pretrain: {{data: main}}
encoders: {{compact: {{model: {{image_encoder: sista_compact}}}}}}
methods: {{clip: {{}}}}
tasks: {{probe: {{data: main}}}}
seeds: [0]
"""
