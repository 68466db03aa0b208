"""Exported programs: equal to the model at any batch size, usable without sista, refused when they differ."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import sista
from sista.cli import main
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.inference import export as room
from sista.inference.export import export
from sista.inference.programs import random_inputs
from sista.inference.prompts import PromptPair
from sista.models.checkpoint import load_pretrained, save_pretrained
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


def test_the_example_prepares_every_film_as_sista_does(exported: Path, run_path: Path, tmp_path: Path) -> None:
    """Also of 16 bits, and turned by EXIF."""
    code = re.search(r"```python\n(.*?)\n\n\ndef pieces", DOCS, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1].replace('"runs/exported"', repr(str(exported))), names)
    model = sista.load(run_path, device="cpu", precision="fp32")
    pixels = np.random.default_rng(0).normal(9000, 2500, (90, 130)).clip(0, 65535).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray((pixels >> 8).astype(np.uint8)).save(tmp_path / "turned.jpg", exif=turned, quality=95)
    for name in ("deep.png", "turned.jpg"):
        ours, theirs = model.prepare(tmp_path / name)[0].numpy(), names["prepare"](tmp_path / name)
        assert np.abs(ours - theirs).max() * 255 * names["card"]["film"]["std"] <= 1  # a gray level of rounding
    names["card"]["film"]["crop_borders"] = True
    with pytest.raises(SystemExit, match="without their black borders"):
        names["prepare"](tmp_path / "deep.png")


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


def test_numbers_that_are_not_finite_are_refused_though_both_have_them(run_path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(run_path / "model", broken)
    weights = load_file(broken / "model.safetensors")
    spoilt = {name: torch.full_like(value, float("nan")) if "head" in name else value for name, value in weights.items()}
    save_file(spoilt, broken / "model.safetensors")
    with pytest.raises(SistaError, match="gives numbers that are not finite: nothing was exported"):
        export(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_texts_by_chance_hold_no_padding(run_path: Path) -> None:
    """RoBERTa counts places by it, and a program was refused for a text that no tokenizer makes."""
    encoder = load_pretrained(run_path).encoder
    encoder.text.model.config.pad_token_id = 7
    pieces = random_inputs(encoder, 64, 100)["pieces"]
    assert not (pieces == 7).any()
    assert int(pieces.max()) < encoder.text.model.config.vocab_size
