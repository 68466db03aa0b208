"""The demo's report: one self-contained HTML page with figures drawn by matplotlib."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.benchmark.evaluation import Evaluation
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.inference.grounding import hottest
from sista.inference.pretrained import PretrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.7rem; margin-bottom: 0 } h2 { font-size: 1.2rem; margin-top: 2.2rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #dde4ea }
th:first-child, td:first-child { text-align: left } td small { color: #6b7a88 } p.note, footer { color: #566573 }
figure { margin: .5rem 0 } img { max-width: 100% } .pair { display: grid; grid-template-columns: 180px 1fr; gap: 1rem; margin: 1rem 0 }
.pair img { width: 180px; image-rendering: auto }
.report { margin: .2rem 0; padding: .35rem .6rem; border-left: 3px solid #b8c4ce; font-size: .9rem }
.own { border-color: #1c7c54 } .same { border-color: #2d7dd2 } .tag { color: #6b7a88; font-size: .8rem }
"""


def write_report(
    file: Path, corpus: Corpus, model: PretrainedModel, scores: Evaluation, summary: dict[str, Any], log: list[dict[str, float]]
) -> None:
    """Write the page: metrics beside the untrained encoder's, curves, heat maps with the true outline, nearest reports."""
    parts = [
        "<h1>sista demo</h1>",
        f"<p class=note>{len(corpus):,} procedural studies of {corpus.facts['subjects']:,} subjects at {corpus.size} px; "
        f"method <b>{html.escape(summary['method'])}</b>, seed {summary['seed']}; {summary['test_films']:,} held-out films. "
        "Metrics, findings, phrases and reports are of subjects that training never saw; intervals are 95 % bootstrap intervals over "
        "subjects. The curves are of training, those named valid of the validation split.</p>",
        "<h2>Metrics</h2>",
        _metrics_table(summary),
        "<h2>Findings</h2>",
        _findings_table(summary),
        "<h2>Training</h2>",
        figure_tag(_curves(log)),
        "<h2>Where is it? Phrases on held-out films</h2>",
        "<p class=note>The film, then the heat map of the phrase with the true outline drawn in. The cross is the hottest point.</p>",
        figure_tag(_heat_maps(corpus, model, scores)),
        "<h2>Nearest reports of held-out films</h2>",
        "<p class=note>The three nearest reports of the test split. Green: the film's own report. "
        "Blue: another study with the same true findings, which plain contrastive training would have pushed away.</p>",
        _nearest_reports(corpus, scores),
        _footer(summary),
    ]
    file.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>sista demo</title><style>{STYLE}</style>{''.join(parts)}</html>\n"
    )


def _footer(summary: dict[str, Any]) -> str:
    seconds = ", ".join(f"{part} {value:.0f} s" for part, value in summary["seconds_of"].items())
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    speed = f"{summary['pairs_per_second']:.0f} pairs/s, {summary['precision']}, {summary['threads']} threads"
    return f"<footer>{seconds}; {speed}; {versions}</footer>"


def _metrics_table(summary: dict[str, Any]) -> str:
    rows: list[tuple[str, tuple[str, ...]]] = [("zero-shot AUROC (macro)", ("zero_shot_auroc",))]
    rows += [
        (f"linear probe AUROC, {label} of the labels", ("probe_auroc", share))
        for label, share in (("1 %", "0.01"), ("10 %", "0.1"), ("100 %", "1.0"))
    ]
    rows += [
        ("film to report, recall at 10", ("retrieval", "i2t_r10")),
        ("report to film, recall at 10", ("retrieval", "t2i_r10")),
        ("film to report with the same findings, recall at 10", ("retrieval", "i2t_r10_semantic")),
        (f"pointing game (a random point: {summary['pointing_game_chance']:.3f})", ("pointing_game",)),
        ("contrast-to-noise ratio of heat maps", ("contrast_to_noise",)),
    ]
    body = "".join(
        f"<tr><td>{name}</td><td>{_estimate(_at(summary, path))}</td><td>{_estimate(_at(summary['untrained'], path))}</td></tr>"
        for name, path in rows
    )
    return f"<table><tr><th></th><th>pre-trained</th><th>untrained</th></tr>{body}</table>"


def _findings_table(summary: dict[str, Any]) -> str:
    head = "<tr><th></th><th>zero-shot</th><th>probe 1 %</th><th>probe 100 %</th><th>pointing game</th></tr>"
    body = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{_estimate(row['zero_shot_auroc'])}</td><td>{_estimate(row['probe_auroc'].get('0.01'))}</td>"
        f"<td>{_estimate(row['probe_auroc'].get('1.0'))}</td><td>{_estimate(row['pointing_game'])}</td></tr>"
        for name, row in summary["per_finding"].items()
    )
    return f"<table>{head}{body}</table>"


def _at(tree: dict[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree.get(key, {})
    return tree


def _estimate(value: dict[str, Any] | None) -> str:
    if not value or value.get("value") is None:
        return "-"
    low, high = value["ci95"]
    return f"{value['value']:.3f} <small>[{low:.3f}, {high:.3f}]</small>" if low is not None else f"{value['value']:.3f}"


def _curves(log: list[dict[str, float]]) -> Figure:
    from matplotlib.figure import Figure

    pairs: tuple[str, tuple[str, ...]] = ("pairs left out as false negatives", ("share_ignored", "removed_precision", "removed_recall"))
    if any(row.get("moved_share") for row in log) and not any(row.get("share_ignored") for row in log):  # soft targets leave none out
        pairs = ("targets moved to other reports", ("moved_share", "moved_precision"))
    panels = [
        ("loss terms", ("instance", "token", "valid_instance", "valid_token")),
        ("recall at 10 on valid", ("valid_i2t_r10", "valid_t2i_r10")),
        pairs,
        ("does the token term look at the film?", ("wrong_film_gap", "valid_wrong_film_gap")),
    ]
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    for axis, (title, names) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for name in names:
            points = [(row["step"], row[name]) for row in log if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker="o" if len(points) < 12 else None, markersize=4)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    return figure


def _heat_maps(corpus: Corpus, model: PretrainedModel, scores: Evaluation, count: int = 12) -> Figure:
    from matplotlib.figure import Figure

    chosen = _one_region_per_finding(corpus, scores, count)
    images = eval_view(corpus.films(np.array([row for row, _ in chosen])), model.image_size)
    maps = model.enlarged(model.patch_map(images, [region.phrase or region.finding for _, region in chosen]), images.shape[-1])
    columns = 4
    lines = -(-len(chosen) // columns)
    figure = Figure(figsize=(11, 1.65 * lines), layout="constrained")
    axes = figure.subplots(lines, 2 * columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, ((_, region), heat) in enumerate(zip(chosen, maps, strict=True)):
        film, overlay = axes[number // columns, 2 * (number % columns)], axes[number // columns, 2 * (number % columns) + 1]
        picture = images[number, 0].numpy()
        side = picture.shape[-1]
        film.imshow(picture, cmap="gray")
        film.set_title(region.phrase[:40], fontsize=6.5, loc="left")
        overlay.imshow(picture, cmap="gray")
        overlay.imshow(heat, cmap="inferno", alpha=0.45)
        row, column = hottest(heat)
        overlay.plot(column, row, "wx", markersize=5)
        if region.mask is not None:
            scale = side / region.mask.shape[0]
            places = (np.arange(region.mask.shape[0]) + 0.5) * scale - 0.5
            overlay.contour(places, places, region.mask, levels=[0.5], colors="#3ddc97", linewidths=1)
    return figure


def _one_region_per_finding(corpus: Corpus, scores: Evaluation, count: int) -> list[tuple[int, Any]]:
    """The first test regions of each finding, findings in turn: no choosing by how well they came out."""
    by_finding: dict[str, list[tuple[int, Any]]] = {}
    for row in scores.test.rows[:400]:
        for region in corpus.regions(int(row)):
            by_finding.setdefault(region.name, []).append((int(row), region))
    turns = [entries[turn] for turn in range(count) for entries in by_finding.values() if turn < len(entries)]
    return turns[:count]


def _nearest_reports(corpus: Corpus, scores: Evaluation, count: int = 5) -> str:
    """The first abnormal test films (any, where the truth is unknown) with their three nearest reports."""
    test = scores.test
    truth = corpus.truth_keys(test.rows)
    findings = corpus.column("true_findings")
    abnormal = [i for i, row in enumerate(test.rows) if findings[int(row)] is None or findings[int(row)]]
    reports = corpus.reports(test.rows)
    blocks = []
    for i in abnormal[:count]:
        order = np.argsort(-(test.text @ test.image[i]), kind="stable")[:3]
        shown = "".join(_report_block(reports[j], "own" if j == i else "same" if truth[j] == truth[i] != -1 else "") for j in order)
        own = f"<p class=tag>its own report: {html.escape(reports[i])}</p>"
        blocks.append(f"<div class=pair><img src='{_film(corpus, int(test.rows[i]))}' alt='film'><div>{shown}{own}</div></div>")
    return "".join(blocks)


def _report_block(text: str, kind: str) -> str:
    tag = {"own": "its own", "same": "same findings", "": ""}[kind]
    return f"<div class='report {kind}'>{html.escape(text)} <span class=tag>{tag}</span></div>"


def _film(corpus: Corpus, row: int) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(corpus.films([row])[0, 0].numpy()).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def figure_tag(figure: Figure) -> str:
    """The figure as an image inside the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"<figure><img src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'></figure>"
