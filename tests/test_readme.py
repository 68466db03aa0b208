"""Every command and example of the README runs, on small data made here."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from sista.archives.phantom import Phantom
from sista.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
SMALLER = {"--count 15000": "--count 150 --size 64", "--size 128": "--size 64"}
EXTRA = {
    "pretrain": ["--optimizer.batch_size", "16", "--optimizer.epochs", "1", "--run.progress", "false"],
    "build": ["--workers", "1", "--progress", "false"],
}


def console_blocks() -> list[str]:
    return re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    joined = "\n".join(console_blocks()).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("sista ")]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the README's reader would have it: data/pairs.csv, data/nih/images.csv, film.png."""
    monkeypatch.chdir(tmp_path)
    phantom = Phantom(150, seed=1, size=64)
    pairs, labelled = [], []
    for index in range(len(phantom)):
        study = phantom[index]
        folder = Path("data") if index < 70 else Path("data/nih")
        (folder / "films").mkdir(parents=True, exist_ok=True)
        Image.fromarray(study.films[0].source).save(folder / "films" / f"{index}.png")
        split = ("train", "train", "train", "valid", "test")[int(study.subject_id[-2:]) % 5]
        row = {"image": f"films/{index}.png", "patient_id": study.subject_id, "split": split}
        if index < 70:
            pairs.append({**row, "text": study.report})
        else:
            labels = {
                "No_Finding": int(not study.true_findings),
                "Pneumonia": int(study.labels["consolidation"]),
                "Infiltration": int(study.labels["edema"]),
            }
            labelled.append({**row, **labels})
    pd.DataFrame(pairs).to_csv("data/pairs.csv", index=False)
    pd.DataFrame(labelled).to_csv("data/nih/images.csv", index=False)
    Image.fromarray(phantom[0].films[0].source).save("film.png")
    return tmp_path


def test_the_readme_s_commands_run_in_order(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands()
    assert len(found) >= 10
    for command in found:
        for large, small in SMALLER.items():
            command = command.replace(large, small)
        words = shlex.split(command)[1:]
        code = main([*words, *EXTRA.get(words[0], [])])
        assert code == 0, f"{command}\n{capsys.readouterr().err}"
    assert (workplace / "heat.png").is_file()


def test_the_readme_s_python_runs(workplace: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    example = (
        code[1].replace('{"count": 15_000}', '{"count": 150, "size": 64}').replace('"runs/sista")', '"runs/sista", optimizer=small)', 1)
    )
    from sista.training.settings import OptimizerSettings

    names: dict = {"small": OptimizerSettings(epochs=1, batch_size=16)}
    exec(example, names)
    assert names["model"].heatmap("film.png", "left pleural effusion").shape == (128, 128)


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", "\n".join(console_blocks()), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
