"""Arguments as people write them: switches, lists, and the parser's messages."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sista.arguments import config_first, explain, spelled_out, underscores
from sista.errors import SistaError

TYPES = {
    "--names": list[str] | None,
    "--shares": list[float] | None,
    "--columns": Sequence[str],
    "--fractions": tuple[float, float, float],
    "--earlier": list[Path] | Path | None,
    "--formats": list[str] | str,
    "--switch": bool,
    "--seed": int,
    "--fit.epochs": int,
    "--settings": dict[str, object] | None,
}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["--shares", "0.1,1"], ["--shares", "[0.1, 1]"]),
        (["--shares", "0.1", "1", "--seed", "3"], ["--shares", "[0.1, 1]", "--seed", "3"]),
        (["--shares=0.1,1"], ["--shares", "[0.1, 1]"]),
        (["--shares", "1"], ["--shares", "[1]"]),
        (["--shares", "-1"], ["--shares", "[-1]"]),
        (["--shares", "[0.1, 1]"], ["--shares", "[0.1, 1]"]),
        (["--shares", "null"], ["--shares", "null"]),
        (["--shares"], ["--shares"]),
        (["--shares", "[0.1,", "1]"], ["--shares", "[0.1, 1]"]),  # as a shell parts what stands without quotes
        (["--names", "pleural effusion"], ["--names", '["pleural effusion"]']),
        (["--names", "mass, pleural effusion", "nodule"], ["--names", '["mass", "pleural effusion", "nodule"]']),
        (["--names", "1"], ["--names", '["1"]']),
        (["--columns", "Épanchement"], ["--columns", '["Épanchement"]']),
        (["--fractions", ".8", ".1", ".1"], ["--fractions", "[.8, .1, .1]"]),
        (["--earlier", "runs/a,b"], ["--earlier", "runs/a,b"]),
        (["--earlier", "runs/a", "runs/b,c"], ["--earlier", '["runs/a", "runs/b,c"]']),
        (["--formats", "onnx,pt"], ["--formats", "onnx,pt"]),
        (["--formats", "onnx", "pt"], ["--formats", '["onnx", "pt"]']),
        (["--settings", "{a: 1}"], ["--settings", "{a: 1}"]),
        (["--switch", "--seed", "1"], ["--switch", "true", "--seed", "1"]),
        (["--switch"], ["--switch", "true"]),
        (["--switch", "false"], ["--switch", "false"]),
        (["--switch=false"], ["--switch=false"]),
        (["--unknown", "a", "b"], ["--unknown", "a", "b"]),
    ],
)
def test_switches_and_lists_are_spelled_out(written: list[str], meant: list[str]) -> None:
    assert spelled_out(written, TYPES) == meant


@pytest.mark.parametrize("empty", [[""], [","], [" ", ""]])
def test_a_list_without_entries_does_not_mean_the_default(empty: list[str]) -> None:
    with pytest.raises(SistaError, match="--names is empty; leave it out"):
        spelled_out(["--names", *empty], TYPES)
    with pytest.raises(SistaError, match="--shares is empty"):
        spelled_out(["--shares="], TYPES)


def test_files_of_config_come_first_so_that_options_win() -> None:
    written = ["--a", "1", "--config", "x.yaml", "--b", "2", "--config=y.yaml"]
    assert config_first(written) == ["--config", "x.yaml", "--config=y.yaml", "--a", "1", "--b", "2"]


def test_dashes_and_underscores_are_the_same_in_names_and_not_in_values() -> None:
    assert underscores("--batch-size=a-b") == "--batch_size=a-b"
    assert underscores("a-b") == "a-b"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            "Parser key \"shares\":\n  Does not validate against any of the Union subtypes\n  Subtypes: [list[float], <class 'NoneType'>]\n"
            "  Errors:\n    - Expected a <class 'float'>. Got value: a\n  Given value type: <class 'list'>\n  Given value: ['a']",
            "--shares: expected a list of numbers such as [0.1, 1], got \"['a']\"",
        ),
        ("Parser key \"fit.epochs\": Expected a <class 'int'>. Got value: x", "--fit.epochs: expected a whole number, got 'x'"),
        (
            "Parser key \"precision\": Expected a typing.Literal['auto', 'bf16', 'fp32']. Got value: fp16",
            "--precision: expected auto, bf16 or fp32, got 'fp16'",
        ),
        ("Parser key \"name\": Expected a <class 'str'>. Got value: ['a']", "--name: expected text, got \"['a']\""),
        ("the following arguments are required: model, data", "give --model, --data"),
        ("Unrecognized arguments: --sed 3", "unknown setting 'sed'; did you mean 'seed'?"),
        ("Group 'fit' does not accept option 'epohcs'", "unknown setting 'fit.epohcs'; did you mean 'fit.epochs'?"),
        ("Group 'fit' does not accept option 'ep-ochs'", "unknown setting 'fit.ep-ochs'; did you mean 'fit.epochs'?"),
        ("Option 'se-ed' is not accepted", "unknown setting 'se-ed'; did you mean 'seed'?"),
        ("something else\nin two lines", "something else in two lines"),
    ],
)
def test_messages_name_the_option_what_it_takes_and_what_it_got(message: str, line: str) -> None:
    assert explain(message, list(TYPES)) == line


def test_an_option_that_was_not_given_stands_in_the_file_of_config() -> None:
    message = "Parser key \"seed\": Expected a <class 'int'>. Got value: x"
    assert explain(message, list(TYPES), ["--config", "a.yaml"]) == "seed, in the file of --config: expected a whole number, got 'x'"
    assert explain(message, list(TYPES), ["--config", "a.yaml", "--seed=x"]).startswith("--seed: ")
