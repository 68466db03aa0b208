"""Pre-training that goes on from an earlier one's encoders, on another corpus, by another method or for longer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sista.corpus.corpus import Corpus
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.errors import SistaError
from sista.models.checkpoint import load_pretrained
from sista.models.dual_encoder import DualEncoder

FREE = (
    "name",
    "_name_or_path",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "transformers_version",
    "dtype",
    "torch_dtype",
)


def start_from(encoder: DualEncoder, path: str | Path, corpus: Corpus) -> None:
    """Put the weights of both encoders and their projections, of a run, a checkpoint or a Hub name, into `encoder`.

    What a method learns beside them (temperature, prototypes) and the optimizer begin anew. Raises SistaError where the corpus has another
    tokenizer, and where `encoder` was made with other model settings.
    """
    earlier = load_pretrained(path)
    if ReportTokenizer.open(earlier.folder).fingerprint != corpus.tokenizer.fingerprint:
        raise SistaError(
            f"corpus {corpus.path} has another tokenizer than {path}: build it with --tokenizer {earlier.folder / 'tokenizer.json'}"
        )
    if other := _others(earlier.encoder.describe(), encoder.describe()):
        raise SistaError(f"{path} was made with other model settings ({'; '.join(other[:4])}); give those of its run.json")
    theirs, ours = earlier.encoder.state_dict(), encoder.state_dict()
    shapes = {name: tuple(value.shape) for name, value in ours.items()}
    for name in [*theirs, *ours]:
        if name not in theirs or name not in ours or tuple(theirs[name].shape) != shapes[name]:
            there, here = (tuple(state[name].shape) if name in state else "nothing" for state in (theirs, ours))
            raise SistaError(
                f"{path} does not fit the model settings: {name} is {there} there, {here} here; give the settings of its run.json"
            )
    encoder.load_state_dict(theirs)


def _others(there: Mapping[str, Any], here: Mapping[str, Any], where: str = "") -> list[str]:
    """What two descriptions of encoders say differently; names tell apart no architectures, and dropout is a matter of training."""
    found = []
    for key in dict.fromkeys([*there, *here]):
        one, other = there.get(key), here.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _others(one, other, f"{where}{key}.")
        elif one != other and key not in FREE:
            found.append(f"{where}{key}: {one} there, {other} here")
    return found
