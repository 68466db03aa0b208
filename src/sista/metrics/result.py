"""What every run leaves behind: `result.json`, and `predictions.parquet` from which any metric can be computed again.

predictions.parquet has one row per thing that was scored (a film, a query, a region), for each share and draw of the labels:

    study_id, film_id, subject_id, split     whose it is; further key columns as the task needs them (share, draw, query, ...)
    label/NAME                               truth: 1, 0, NaN unknown
    score/NAME                               what the model said, higher is more likely
    value/NAME                               a figure of this row alone, whose mean over rows is a metric (hit of a query, IoU of a region)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.errors import SistaError

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("task", "data", "protocol", "splits", "encoder", "image_size", "seed", "metrics", "versions", "arguments")
IDS = ("study_id", "film_id", "subject_id", "split")
NOT_COMPARED = ("out", "device", "precision", "workers", "cache", "progress")  # arguments that leave a run the same run


def require_folder(out: Path | str | None, task: str, arguments: Mapping[str, Any]) -> None:
    """To be asked before the work, not after it. SistaError where `out` is no place for this run: a file is in the way; it holds another
    task's run, or one of other arguments, which would be lost (where it ran, `NOT_COMPARED`, makes no other run); or an embedding's
    result.json, beside which there are no predictions.
    """
    if out is None:
        return
    for place in (Path(out), *Path(out).parents):
        if place.exists() and not place.is_dir():
            raise SistaError(f"--out {out}: {place} is a file; give a folder for result.json and predictions.parquet")
    if not (file := Path(out) / "result.json").is_file():
        return
    if not (Path(out) / "predictions.parquet").exists():
        raise SistaError(f"--out {out} holds the result.json of `sista embed`, which must stay with its vectors; give another folder")
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        there, earlier = dict(held["arguments"]), held["task"]
    except (ValueError, KeyError, TypeError):  # damaged: nothing to lose
        return
    if earlier != task:
        raise SistaError(f"--out {out} holds a run of `sista {earlier}`, which would be lost; give another folder, or delete that run")
    here = json.loads(json.dumps(plain(arguments)))
    if other := [name for name in here if name in there and name not in NOT_COMPARED and there[name] != here[name]]:
        said = "; ".join(f"{name} is {json.dumps(there[name])} there, {json.dumps(here[name])} here" for name in other)
        raise SistaError(
            f"--out {out} holds a run of other arguments, which would be lost ({said}); give another folder, or delete that run"
        )


@dataclass(frozen=True)
class Run:
    """A run read back: the content of result.json, and its predictions."""

    path: Path
    result: Mapping[str, Any]
    predictions: pd.DataFrame


def write_run(out: Path, result: Mapping[str, Any], predictions: Mapping[str, Any]) -> None:
    """Write `predictions.parquet` (columns by name), then `result.json`, each whole or not at all, into the folder `out`.

    Raises ValueError when the result lacks one of `REQUIRED`, or the predictions one of `IDS`: a mistake of the caller.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if missing := [name for name in REQUIRED if name not in result] + [name for name in IDS if name not in predictions]:
        raise ValueError(f"a run without {', '.join(missing)}: every run states them")
    require_folder(out, str(result["task"]), result["arguments"])
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    columns = {
        name: np.asarray(values).tolist() if isinstance(values, np.ndarray) else list(values) for name, values in predictions.items()
    }
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    _replace(out / "predictions.parquet", lambda file: pq.write_table(table, file))
    text = json.dumps(plain(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(out / "result.json", lambda file: file.write_text(text, encoding="utf-8"))


def read_run(path: Path) -> Run:
    """The run in folder `path`; raises SistaError when it holds none, or a damaged one."""
    import pandas as pd

    path = Path(path)
    folder = path.parent if path.name == "result.json" else path
    missing = [name for name in ("result.json", "predictions.parquet") if not (folder / name).is_file()]
    if missing:
        raise SistaError(f"{folder} is no run: {' and '.join(missing)} missing; give a folder that a command wrote with --out")
    try:
        return Run(
            folder, json.loads((folder / "result.json").read_text(encoding="utf-8")), pd.read_parquet(folder / "predictions.parquet")
        )
    except (ValueError, OSError) as error:
        raise SistaError(f"{folder}: the run is damaged ({str(error).splitlines()[0]}); make it again") from error


def splits_of(ids: Iterable[str], splits: Iterable[str]) -> dict[str, dict[str, Any]]:
    """split -> how many films, and the SHA-256 of their sorted ids, one a line: equal for equal splits in any order."""
    names, where = np.asarray(list(ids), dtype=object), np.asarray(list(splits), dtype=object)
    return {str(split): {"films": int((where == split).sum()), "sha256": checksum(names[where == split])} for split in dict.fromkeys(where)}


def checksum(ids: Iterable[str]) -> str:
    """SHA-256 of the sorted ids, each followed by a line feed, as `sort ids.txt | sha256sum` gives under LC_ALL=C."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(map(str, ids))).encode()).hexdigest()


def encoder_hash(model: str | Path) -> str | None:
    """SHA-256 of the weights file that `model` names: model.safetensors of a run or checkpoint, FILE of FILE@ARCHITECTURE, else None."""
    text = str(model)
    file = text.rpartition("@")[0] if "@" in text and not Path(text).exists() else text  # a folder may have an @ in its name
    for candidate in (Path(file) / "model" / "model.safetensors", Path(file) / "model.safetensors", Path(file)):
        if candidate.is_file():
            with candidate.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
    return None


def plain(value: Any) -> Any:
    """What runs hold as JSON has it: paths as text, settings as dicts, arrays as lists, NaN as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _replace(path: Path, write: Any) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
