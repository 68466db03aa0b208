"""Pre-training that goes on from an earlier one's encoders, on another corpus, by another method or for longer."""

from __future__ import annotations

from pathlib import Path

from sista.corpus.corpus import Corpus
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.errors import SistaError
from sista.models.checkpoint import load_pretrained
from sista.models.dual_encoder import DualEncoder


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
    theirs, ours = earlier.encoder.state_dict(), encoder.state_dict()
    shapes = {name: tuple(value.shape) for name, value in ours.items()}
    for name in [*theirs, *ours]:
        if name not in theirs or name not in ours or tuple(theirs[name].shape) != shapes[name]:
            there, here = (tuple(state[name].shape) if name in state else "nothing" for state in (theirs, ours))
            raise SistaError(
                f"{path} does not fit the model settings: {name} is {there} there, {here} here; give the settings of its run.json"
            )
    encoder.load_state_dict(theirs)
