"""A grid's jobs: what they hold, and that their folders change with what determines their results."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.benchmark.grid import jobs as room
from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import _stages
from sista.errors import SistaError

from .inputs import TINY, write


def test_the_jobs_of_a_grid(tmp_path: Path) -> None:
    jobs = jobs_of(read_grid(write(tmp_path)), tmp_path / "out")
    assert [job.verb for job in jobs] == ["build"] + 4 * ["pretrain", "probe", "zeroshot"]
    assert [job.key[3] for job in jobs[1:]] == 6 * [0] + 6 * [1]
    assert _stages(jobs) == [1] + 4 * [2, 3, 3]
    run = next(job for job in jobs if job.key == ("", "compact", "untrained", 1))
    assert run.arguments["optimizer"] == {"epochs": 0, "batch_size": 32}
    assert run.arguments["run"] == {"evaluate_every": 0, "device": "cpu", "seed": 1, "progress": False}
    assert run.arguments["method"] == "clip"
    probe = next(job for job in jobs if job.key == ("probe", "compact", "untrained", 1))
    assert (probe.arguments["model"], probe.arguments["seed"]) == (str(run.folder), 1)
    zero = next(job for job in jobs if job.verb == "zeroshot")
    assert "seed" not in zero.arguments


def test_names_that_come_to_one_folder_are_refused_and_long_ones_are_cut(tmp_path: Path) -> None:
    for names, told in ((("A!", "A?"), "'A!' and 'A\\?' come to one folder, compact-A_-0-"), (("a b", "a_b"), "'a b' and 'a_b' come")):
        with pytest.raises(SistaError, match=told):
            jobs_of(read_grid(write(tmp_path, methods={name: {"method": "clip"} for name in names})), tmp_path / "out")
    differ = {"A!": {"method": "clip"}, "A?": {"method": "siglip"}}  # then their hashes do
    assert jobs_of(read_grid(write(tmp_path, methods=differ)), tmp_path / "out")
    long = read_grid(write(tmp_path, methods={"m" * 300: {"method": "clip"}}))
    assert all(len(job.folder.name) < 200 and not job.done for job in jobs_of(long, tmp_path / "out"))


def test_a_folder_changes_with_what_determines_its_result_and_with_nothing_else(tmp_path: Path) -> None:
    def folders(**changes: Any) -> dict[tuple[str, str, str, int], str]:
        return {(job.verb, *job.key): job.folder.name for job in jobs_of(read_grid(write(tmp_path, **changes)), tmp_path / "out")}  # type: ignore[misc]

    plain = folders()
    assert folders(about="other words", name="other") == plain
    more = folders(seeds=[0, 1, 2])
    assert all(more[key] == name for key, name in plain.items())
    longer = folders(methods={**TINY["methods"], "clip": {"optimizer": {"epochs": 2}}})
    assert {key[3] for key in plain if longer[key] != plain[key]} == {"clip"}
    other = folders(corpora={"main": {**TINY["corpora"]["main"], "seed": 6}})
    assert all(other[key] != name for key, name in plain.items())


def test_what_a_command_answers_since_is_another_job_and_all_others_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that figures of maps drawn the old way, of published tables, are not taken for those of the new."""

    def names() -> dict[str, str]:
        tasks = {name: {"data": "main"} for name in ("zeroshot", "detect", "ground", "segment")}
        return {job.verb: job.name for job in jobs_of(read_grid(write(tmp_path, tasks=tasks, seeds=[0])), tmp_path / "out")}

    now = names()
    monkeypatch.setattr(room, "REVISIONS", {})
    before = names()
    assert {verb for verb in now if now[verb] != before[verb]} == {"ground", "segment"}


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ({"task": "segment", "draws": [3]}, True),
        ({"task": "segment", "draws": [1]}, False),
        ({"task": "detect"}, False),
        ({"task": "classify", "draws": [3]}, False),
        ({"task": "classify", "head": "minibatch"}, True),
        ({"task": "classify", "mode": "fine-tune"}, False),
        ({"task": "classify", "mode": "fine-tune", "draws": [2]}, True),
        ({"task": "zeroshot"}, False),
    ],
)
def test_heads_of_several_draws_are_other_jobs_than_those_of_published_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any], changes: bool
) -> None:
    shares = {"shares": [0.1]} if task["task"] != "zeroshot" else {}

    def name() -> str:
        tasks = {"one": {"data": "main", **shares, **task}}
        return jobs_of(read_grid(write(tmp_path, tasks=tasks, seeds=[0])), tmp_path / "out")[-1].name

    now = name()
    monkeypatch.setattr(room, "_several_heads", lambda verb, arguments: False)
    assert (name() != now) is changes


def test_a_method_may_have_a_corpus_and_a_precision_of_its_own(tmp_path: Path) -> None:
    corpora = {**TINY["corpora"], "few": {**TINY["corpora"]["main"], "count": 80}}
    methods = {"clip": {}, "clip, few": {"method": "clip", "data": "few", "run": {"precision": "fp32"}}}
    jobs = jobs_of(read_grid(write(tmp_path, corpora=corpora, methods=methods)), tmp_path / "out")
    folders = {job.arguments["count"]: str(job.folder) for job in jobs if job.verb == "build"}
    runs = {job.key[2]: job for job in jobs if job.verb == "pretrain" and job.key[3] == 0}
    assert runs["clip"].arguments["data"] == folders[160]
    assert runs["clip, few"].arguments["data"] == folders[80]
    assert runs["clip, few"].needs == (Path(folders[80]),)
    assert runs["clip, few"].arguments["run"] == {**runs["clip"].arguments["run"], "precision": "fp32"}
    assert {job.arguments["data"] for job in jobs if job.verb == "probe"} == {folders[160]}


def test_a_methods_model_goes_over_its_encoders(tmp_path: Path) -> None:
    encoders = {"vit": {"model": {"image_encoder": "sista_vit", "dim": 64}}}
    methods = {"clip": {}, "clip, wide": {"method": "clip", "model": {"dim": 256, "hidden": 512}}}
    jobs = jobs_of(read_grid(write(tmp_path, encoders=encoders, methods=methods)), tmp_path / "out")
    models = {job.key[2]: job.arguments["model"] for job in jobs if job.verb == "pretrain"}
    assert models["clip"] == encoders["vit"]["model"]
    assert models["clip, wide"] == {"image_encoder": "sista_vit", "dim": 256, "hidden": 512}


def test_methods_may_be_named_as_a_table_wants_them(tmp_path: Path) -> None:
    """Folders have plain names, and each job arguments of its own, also where names differ behind a dot."""
    methods = {f"top {share} %, {share / 2:g}": {"method": "sista", "settings": {"negative_share": share / 100}} for share in (0.1, 0.2)}
    jobs = jobs_of(read_grid(write(tmp_path, methods=methods)), tmp_path / "out")
    assert len({job.config for job in jobs}) == len(jobs)
    assert all(shlex.quote(str(job.folder)) == str(job.folder) for job in jobs)
    assert all(job.config.name == f"{job.folder.name}.yaml" for job in jobs)


def test_a_method_of_ones_own_is_run_again_when_it_is_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "my_own_method.py"
    grid = write(tmp_path, methods={"mine": {"method": "my_own_method:Mine"}, "clip": {}})

    def folders(text: str) -> dict[str, set[str]]:
        source.write_text(text)
        jobs = jobs_of(read_grid(grid), tmp_path / "out")
        return {method: {job.folder.name for job in jobs if job.key[2] == method} for method in ("mine", "clip")}

    text = "from sista.methods.clip import Clip\n\n\nclass Mine(Clip):\n    pass\n"
    before, after = folders(text), folders(text + "\n    weight = 2\n")
    assert not before["mine"] & after["mine"]
    assert before["clip"] == after["clip"]
    assert folders(text) == before


def test_a_file_of_prompts_counts_by_what_is_in_it_and_workers_do_not_count(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.json"

    def names(**changes: Any) -> tuple[str, str]:
        corpora = {"main": {**TINY["corpora"]["main"], **changes}}
        tasks = {"zeroshot": {"data": "main", "prompts": str(prompts)}}
        jobs = jobs_of(read_grid(write(tmp_path, corpora=corpora, tasks=tasks)), tmp_path)
        return jobs[0].name, jobs[-1].name

    prompts.write_text("{}")
    before = names()
    assert names() == names(workers=2) == before
    assert names(count=161) != before
    prompts.write_text("[]")
    assert names()[0] == before[0]
    assert names()[1] != before[1]


def test_tokenizers_encoders_and_starts_in_files_count_by_what_these_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("bert", "timm", "earlier/model", "compact"):
        (tmp_path / folder).mkdir(parents=True)
    files = ["vocab.txt", "bert/config.json", "bert/model.safetensors", "timm/config.json", "earlier/model/model.safetensors"]
    for file in [*files, "compact/config.json", "earlier/log.csv"]:
        (tmp_path / file).write_text("before")
    corpora = {"main": {**TINY["corpora"]["main"], "tokenizer": "vocab.txt"}}
    of_files = {"text_encoder": "bert", "image_encoder": "local-dir:timm", "start": "earlier"}
    encoders = {"files": {"model": of_files}, "own": {"model": {"text_encoder": "compact"}}}
    grid = read_grid(write(tmp_path, corpora=corpora, encoders=encoders, methods={"clip": {}}, seeds=[0]))

    def changed(file: str) -> set[tuple[str, str]]:
        """(command, encoder) of the jobs that are others since `file` holds something else."""
        before = {(job.verb, job.key[1]): job.name for job in jobs_of(grid, tmp_path / "out")}
        (tmp_path / file).write_text("afterwards")
        return {(job.verb, job.key[1]) for job in jobs_of(grid, tmp_path / "out") if before[job.verb, job.key[1]] != job.name}

    of_run = {(verb, "files") for verb in ("pretrain", "probe", "zeroshot")}
    assert changed("vocab.txt") == {("build", "")} | of_run | {(verb, "own") for verb, _ in of_run}
    assert all(changed(file) == of_run for file in files[1:])
    assert not changed("compact/config.json") | changed("earlier/log.csv")  # a folder of a built-in encoder's name; not read by training


def test_a_built_corpus_counts_by_what_is_in_it(tmp_path: Path) -> None:
    names = []
    for seed in (1, 2):
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        build(Phantom(40, seed=seed, size=64), tmp_path / "corpus", progress=False)
        grid = read_grid(write(tmp_path, corpora={"main": {"path": str(tmp_path / "corpus")}}))
        names.append({job.folder.name for job in jobs_of(grid, tmp_path / "out")})
    assert not names[0] & names[1]


def test_a_corpus_is_another_where_what_its_lists_say_changes(tmp_path: Path) -> None:
    """Not where they lie alone: a finished corpus of the old split would be taken for that of the new."""
    lists = tmp_path / "lists"
    lists.mkdir()

    def names() -> dict[str, str]:
        corpora = {"main": {**TINY["corpora"]["main"], "lists": str(lists)}}
        return {job.verb: job.name for job in jobs_of(read_grid(write(tmp_path, corpora=corpora, seeds=[0])), tmp_path / "out")}

    (lists / "train.txt").write_text("phantom-5-000000\n")
    before = names()
    (lists / "train.txt").write_text("phantom-5-000001\n")
    assert all(name != before[verb] for verb, name in names().items())
