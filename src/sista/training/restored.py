"""The method of a finished pre-training with all that it learnt, temperatures and prototypes too, and not the encoders alone."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.errors import SistaError
from sista.methods import make_method, settings_of
from sista.methods.method import Method
from sista.models.checkpoint import load_pretrained
from sista.training.state import checkpoints


def restore(run: Path, corpus: Corpus) -> Method:
    """The method of the run in folder `run` after its last step, in eval mode on the CPU, ready for batches of `corpus`.

    The corpus needs the run's tokenizer: the one that it was trained on has it. `SistaError` where it has another, or the run is not
    finished.
    """
    if not (run / "summary.json").is_file():
        raise SistaError(f"{run} is no finished pre-training; give a folder that `sista pretrain` wrote with --out")
    stated, found = read_json(run / "run.json"), checkpoints(run / "checkpoints")
    if not found and stated["steps"]:
        raise SistaError(f"{run} has no checkpoint left; the model folder alone does not have what the method learnt")
    if ReportTokenizer.open(run / "model").fingerprint != corpus.tokenizer.fingerprint:
        raise SistaError(f"corpus {corpus.path} has another tokenizer than {run}; give the corpus that it was pre-trained on")
    encoder = load_pretrained(run).encoder
    method = make_method(stated["method"], encoder, corpus.teacher(stated["teacher"]), settings_of(stated["method"], stated["settings"]))
    if found:
        held = load_file(found[-1] / "method.safetensors")
        method.load_state_dict({**held, "encoder.mean_patches": encoder.mean_patches})  # which were measured after the last checkpoint
    return method.eval()
