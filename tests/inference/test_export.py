"""Exported programs: equal to the model at any batch size, usable without sista, refused when they differ."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sista
from sista.cli import main
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.inference import export as room
from sista.inference.export import export
from sista.inference.prompts import PromptPair
from sista.models.checkpoint import save_pretrained
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.text_encoder import TextEncoder

DOCS = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
PHRASE = "the left pleural effusion"


def onnx() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra onnx: pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def exported(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "programs"
    export(run_path, out)
    return out


def untrained(corpus: Corpus, folder: Path, image: str, hidden: int = 0, pooling: str = "mean", patch_block: int | None = None) -> Path:
    torch.manual_seed(0)
    text = TextEncoder("compact", vocabulary=len(corpus.tokenizer), pooling=pooling)
    encoder = DualEncoder(ImageEncoder(image, image_size=64, patch_block=patch_block), text, dim=16, hidden=hidden)
    encoder.mean_patches.normal_(std=0.1)
    corpus.tokenizer.save(folder)
    save_pretrained(folder, encoder, {"method": "none", "max_pieces": 40})
    return folder


def test_maps_and_vectors_are_those_of_the_loaded_model(exported: Path, run_path: Path, corpus_path: Path) -> None:
    model, corpus = sista.load(run_path, device="cpu", precision="fp32"), Corpus.open(corpus_path)
    programs = {name: torch.export.load(exported / f"{name}.pt2").module() for name in ("film", "text", "phrase", "heat")}
    films = eval_view(corpus.films([0, 1, 2]), 64)
    image, patches = programs["film"](films)
    np.testing.assert_allclose(image.detach(), model.encode_films(films).image, atol=1e-5)
    assert patches.shape[:2] == (3, 64)
    tokens = model._tokens([PHRASE] * 3)
    weight = tokens["word_weight"] / tokens["word_weight"].sum(1, keepdim=True)
    text = programs["text"](tokens["pieces"], tokens["piece_mask"])
    np.testing.assert_allclose(text.detach(), model.encode_texts([PHRASE] * 3), atol=1e-5)
    phrase = programs["phrase"](tokens["pieces"], tokens["piece_mask"], tokens["piece_word"], weight)
    heat = programs["heat"](films, phrase).detach()
    np.testing.assert_allclose(heat, model.patch_map(films, [PHRASE] * 3), atol=1e-5)


@pytest.mark.parametrize(
    ("image", "options"),
    [("test_resnet", {"hidden": 24}), ("test_vit", {"pooling": "cls"}), ("test_vit", {"patch_block": 0}), ("sista_compact", {})],
)
def test_every_kind_of_encoder_in_every_format(
    image: str, options: dict, corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx()
    run, out = untrained(Corpus.open(corpus_path), tmp_path / "run", image, **options), tmp_path / "out"
    capsys.readouterr()
    arguments = ["export", "--model", run, "--out", out, "--formats", "torch_export,onnx", "--int8", "--data", corpus_path, "--json"]
    assert main([str(a) for a in arguments]) == 0
    files = json.loads(capsys.readouterr().out.splitlines()[-1])["files"]
    kinds = [".pt2", ".onnx", ".int8.onnx"]
    assert set(files) == {f"{name}{kind}" for name in ("film", "text", "phrase", "heat") for kind in kinds}
    for name, facts in files.items():
        assert facts["bytes"] == (out / name).stat().st_size
        if "int8" in name:
            assert all(found["mean"] > 0.98 for found in facts["cosine_with_fp32"].values()), name
        else:
            assert facts["largest_difference"] <= 1e-4
    assert files["text.int8.onnx"]["bytes"] < 0.5 * files["text.onnx"]["bytes"]
    card = json.loads((out / "model.json").read_text())
    assert card["files"] == files
    for axis, centres in zip(("down", "right"), sista.load(run, device="cpu").encoder.image.centres, strict=True):
        assert card["film"]["patch_centres"][axis] == centres._asdict()
    assert (out / "tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()


def test_the_example_of_the_docs_needs_no_sista(exported: Path, run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    pixels = Corpus.open(corpus_path).films([0])[0, 0].numpy()[:, 8:56]
    Image.fromarray(pixels).save(tmp_path / "film.png")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "exported").symlink_to(exported)
    code = re.search(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert code is not None
    blocked = "import sys\nfor name in ('sista', 'timm', 'transformers'):\n    sys.modules[name] = None\n"
    long = "a a a " + "cardiomegaly hyperinflationary " * 60
    asked = f"{blocked}{code[1]}\nprint(probability)\nprint(*pieces({long!r}))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pair = PromptPair(("There is a pleural effusion.",), ("There is no pleural effusion.",))
    model = sista.load(run_path, device="cpu", precision="fp32")
    probability, pieces = done.stdout.splitlines()
    assert float(probability) == pytest.approx(model.classify(tmp_path / "film.png", {"effusion": pair})["effusion"], abs=1e-4)
    assert [int(piece) for piece in pieces.split()] == model._tokens([long])["pieces"][0].tolist()  # a long text is cut alike


def test_a_program_that_differs_is_refused_and_leaves_nothing(run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TOLERANCE", -1.0)
    with pytest.raises(SistaError, match=r"film\.pt2 differs from the model by"):
        export(run_path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_given_is_checked(run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SistaError, match="did you mean 'onnx'"):
        export(run_path, tmp_path / "out", formats="onx")
    with pytest.raises(SistaError, match="--formats is empty"):
        export(run_path, tmp_path / "out", formats=",")
    with pytest.raises(SistaError, match="give --formats onnx"):
        export(run_path, tmp_path / "out", int8=True)
    with pytest.raises(SistaError, match="--data serves --int8"):
        export(run_path, tmp_path / "out", data=tmp_path)
    monkeypatch.setattr(room, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(SistaError, match=r"needs onnxruntime: pip install -e '\.\[onnx\]'"):
        export(run_path, tmp_path / "out", formats="onnx")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    with pytest.raises(SistaError, match="not empty"):
        export(run_path, tmp_path / "out")
