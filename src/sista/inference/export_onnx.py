"""Programs in ONNX: written from a torch.export program, run by onnxruntime, and their weights made 8 bits wide."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from sista.errors import SistaError
from sista.inference.programs import Program, Tensors


def write_onnx(program: Program, traced: torch.export.ExportedProgram, file: Path) -> Path:
    """Translate a traced program into one .onnx file (weights above 2 GB lie beside it)."""
    try:
        with _quiet():
            made = torch.onnx.export(
                traced, (), dynamo=True, verbose=False, input_names=list(program.inputs), output_names=list(program.outputs)
            )
            assert made is not None
            made.save(file)
    except Exception as error:  # of many kinds, by what ONNX has no operator for
        raise SistaError(
            f"{program.name} cannot be written as ONNX ({type(error).__name__}: {str(error).strip().splitlines()[0][:200]}); "
            "leave onnx out of --formats"
        ) from error
    return file


class OnnxRunner:
    """An .onnx file in onnxruntime on the CPU, tensors in and out. threads 0: as many as it likes."""

    def __init__(self, file: Path, inputs: tuple[str, ...], threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self.inputs = inputs
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def __call__(self, given: Tensors) -> Tensors:
        """All outputs for inputs in their order."""
        feed = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in zip(self.inputs, given, strict=True)}
        return tuple(torch.from_numpy(found) for found in self.session.run(None, feed))


def quantise(source: Path, target: Path) -> Path:
    """Dynamic quantisation: weights 8 bits a number, one scale a channel; activations by their own range at each call.

    A convolutional network is quantised throughout, unsigned (onnxruntime's signed convolution is several times slower); of a transformer
    its matrix products and embeddings, signed, while its patch embedding stays as it is.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    counts = Counter(node.op_type for node in onnx.load(source, load_external_data=False).graph.node)
    convolutional = counts["Conv"] > counts["MatMul"] + counts["Gemm"]
    kinds = ["Conv", "MatMul", "Gemm", "Gather"] if convolutional else ["MatMul", "Gemm", "Gather"]
    with _quiet():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=kinds,
            per_channel=True,
            weight_type=QuantType.QUInt8 if convolutional else QuantType.QInt8,
        )
    return target


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' advice on how to export better."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
