"""The sections of the page, one function each; an empty one is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maagiqa_pyiqa.leaderboard.report import figures, words
from maagiqa_pyiqa.leaderboard.report.gallery import Dispute, disputes, thumbnail
from maagiqa_pyiqa.leaderboard.report.html_tables import Strips, html_table, plain_table
from maagiqa_pyiqa.leaderboard.report.markup import Markup, element, join
from maagiqa_pyiqa.leaderboard.report.subset import Subset, measure
from maagiqa_pyiqa.leaderboard.report.tables import FITTED, Column, Table, raw_figures, statistic_cells
from maagiqa_pyiqa.leaderboard.report.tables import leaderboard as leaderboard_table
from maagiqa_pyiqa.leaderboard.report.view import (
    Predictions,
    Results,
    choose_pair,
    count,
    failures,
    figure,
    label,
    names_of,
    participants,
    positions_in,
    predictions,
    ranking,
    rows,
    trained_here,
)

HARDEST = 0.25  # share of the images, those on which the baseline errs most
MOST_GROUPS = 24  # shown of one column
GATE = ("semantic content", "coherence", "quality")


def header(results: Results) -> Markup:
    """Title, what came out in a sentence, and what it was measured on."""
    dataset = results["dataset"]
    findings = [element("p", words.finding(results, split), class_="lead") for split in results["splits"]]
    low, high = (f"{end:g}" for end in dataset["mos_range"])
    parts = ", ".join(f"{n} ({s['part']} part)" if n != "all" else "all images" for n, s in results["splits"].items())
    facts = {
        "Data set": f"{dataset['name']}, {count(dataset['images'], 'image')}, MOS from {low} to {high}",
        "Splits": parts,
        "Made": results["created"].replace("T", " ").replace("Z", " UTC"),
        "Machine": results["environment"].get("machine"),
        "Intervals": f"95 %, {results['resamples']} bootstrap resamples, seed {results['seed']}",
    }
    return element("header", element("h1", f"Who agrees with people? {dataset['name']}"), *findings, _facts(facts))


def _facts(facts: Mapping[str, str | None]) -> Markup:
    pairs = [element("div", element("dt", k), element("dd", v)) for k, v in facts.items() if v is not None]
    return element("dl", *pairs, class_="facts")


def leaderboard(results: Results) -> Markup:
    """The table with its filter, the scores without the fit, and who could not run."""
    absent = join(_failed(results), _partial(results))
    if not ranking(results):
        return absent
    caption = "Agreement of every metric with MOS"
    table = html_table(leaderboard_table(results), caption, strips=_strips(results), id="leaderboard")
    raw = html_table(raw_figures(results), "Agreement of the scores as they are")
    folded = element("details", element("summary", "The scores as they are, without the fit"), raw)
    return join(_tools(), table, element("p", words.TABLE, class_="quiet"), folded, absent)


def _tools() -> Markup:
    return element(
        "div",
        element("label", "Show metrics with", for_="filter"),
        element("input", type="search", id="filter", autocomplete="off", placeholder="part of a name, or several"),
        element("span", id="shown", class_="quiet", role="status"),
        element("span", "Press a column's title to sort by it.", class_="quiet"),
        element("span", id="said", class_="aloud", role="status"),
        class_="tools",
    )


def _strips(results: Results) -> Strips:
    found = {(split, name): row for split in results["splits"] for name, row in rows(results, split).items()}
    measured = {key: f for key, row in found.items() if (f := figure(row, "srcc"))}
    lowest = min((f.low if f.low is not None else f.value for f in measured.values()), default=0.0)
    return {
        (label(split), name): figures.strip(f, (found[split, name].get("published") or {}).get("srcc"), lowest)
        for (split, name), f in measured.items()
    }


def _failed(results: Results) -> Markup | None:
    if not (failed := failures(results)):
        return None
    items = [element("li", element("b", name), f": {reason}") for name, reason in failed.items()]
    return join(element("h3", "Could not run"), element("ul", *items, id="failed"))


def _partial(results: Results) -> Markup:
    folded = []
    for name, participant in participants(results).items():
        failed = participant.get("failed_images") or {}
        if failed and participant["status"] == "partial":
            items = [element("li", element("code", image), f": {reason}") for image, reason in failed.items()]
            title = element("summary", f"{name}: {count(len(items), 'image')} without score")
            folded.append(element("details", title, element("ul", *items)))
    return join(*folded)


def reading(results: Results) -> Markup:
    """What the figures mean, and what they do not."""
    return join(
        element("ul", *[element("li", line) for line in words.MEANS]),
        element("h3", "What these figures do not say"),
        element("ul", *[element("li", line) for line in words.does_not_mean(results)]),
    )


def _by_split(results: Results, draw: Mapping[str, Markup]) -> Markup:
    """The first split open, the others folded."""
    shown = {split: content for split, content in draw.items() if content}
    if len(results["splits"]) == 1:
        return join(*shown.values())
    return join(
        *[
            element("details", element("summary", words.fold(split)), content, open="" if i == 0 else None)
            for i, (split, content) in enumerate(shown.items())
        ]
    )


def _panel(name: str, caption: str, drawing: Markup) -> Markup:
    text = element("figcaption", element("b", name), element("small", caption))
    return element("figure", text, drawing, data_metric=name)


def _panels(panels: Iterable[Markup]) -> Markup:
    return element("div", *panels, class_="panels")


def subsets(results: Results, chosen: Sequence[Subset], baseline: str | None) -> Markup:
    """Figure 2: agreement on parts of the images beside that on all."""
    return join(*[_subset(results, subset, baseline) for subset in chosen])


def _subset(results: Results, subset: Subset, baseline: str | None) -> Markup:
    positions = subset.positions(results)
    title = element("h3", "Images with ", element("code", subset.text))
    drawn = {split: _subset_of_split(results, split, positions, baseline) for split in results["splits"]}
    return join(title, _by_split(results, drawn))


def _subset_of_split(results: Results, split: str, positions: np.ndarray, baseline: str | None) -> Markup:
    every = positions_in(results, split)
    inside = np.intersect1d(every, positions)
    size = element("p", f"{len(inside)} of {count(len(every), 'image')}. {words.SUBSET}")
    if not len(inside):
        return size
    whole = {name: predictions(results, split, name) for name in rows(results, split)}
    parts = {name: shown.only(inside) for name, shown in whole.items()}
    names = choose_pair(results, split, baseline) or tuple(whole)[:1]
    panels = [_subset_panel(results, parts[name], whole[name]) for name in reversed(names)]
    return join(size, html_table(_subset_table(results, split, parts), "Agreement on the subset"), _panels(panels))


def _subset_table(results: Results, split: str, parts: Mapping[str, Predictions]) -> Table:
    found = {n: measure(shown, results["seed"], results["resamples"]) for n, shown in parts.items()}
    unfair = trained_here(results, split)
    whole = {name: figure(row, "srcc") for name, row in rows(results, split).items()}
    columns = [Column("SRCC", statistic_cells(whole, unfair=unfair), "All images")]
    for key, title, high in FITTED:
        cells = statistic_cells({name: measured[key] for name, measured in found.items()}, high, unfair)
        columns.append(Column(title, cells, "Subset", high))
    return Table(list(parts), {n: count(len(shown), "image") for n, shown in parts.items()}, columns)


def _subset_panel(results: Results, part: Predictions, whole: Predictions) -> Markup:
    drawing = figures.scatter(part, results["dataset"]["mos_range"], names_of(results, part.positions), whole)
    return _panel(part.name, "the subset, with all images pale behind", drawing)


def scatters(results: Results) -> Markup | None:
    """Score against MOS for every metric."""
    drawn = {
        split: _panels(_scatter(results, split, name) for name in names)
        for split in results["splits"]
        if (names := rows(results, split))
    }
    return join(element("p", words.SCATTER), _by_split(results, drawn)) if drawn else None


def _scatter(results: Results, split: str, name: str) -> Markup:
    shown = predictions(results, split, name)
    drawing = figures.scatter(shown, results["dataset"]["mos_range"], names_of(results, shown.positions))
    srcc = figure(rows(results, split)[name], "srcc")
    return _panel(name, f"SRCC {srcc.value:.3f} {srcc.interval}" if srcc else "no SRCC", drawing)


def groups(results: Results) -> Markup | None:
    """SRCC within each generator, style and whatever else the data set tells."""
    drawn = {split: _groups_of_split(results, split) for split in results["splits"]}
    return join(element("p", words.GROUPS), _by_split(results, drawn)) if any(drawn.values()) else None


def _groups_of_split(results: Results, split: str) -> Markup:
    columns = []
    drawn = {column: entries for column, entries in results["splits"][split].get("groups", {}).items() if entries}
    for i, (column, entries) in enumerate(drawn.items()):
        title = element("summary", f"By {column}")
        columns.append(element("details", title, _group_column(entries), open="" if i == 0 else None))
    return join(*columns)


def _group_column(entries: Sequence[Mapping[str, Any]]) -> Markup:
    by_group: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in entries:
        by_group.setdefault(entry["group"], {})[entry["name"]] = entry
    srcc = {group: {name: figure(entry, "srcc") for name, entry in found.items()} for group, found in by_group.items()}
    sizes = {group: max(entry["n"] for entry in found.values()) for group, found in by_group.items()}
    largest = sorted((g for g in srcc if any(srcc[g].values())), key=lambda group: -sizes[group])[:MOST_GROUPS]
    lowest = min((f.value for group in largest for f in srcc[group].values() if f), default=0.0)
    panels = [_group_panel(group, sizes[group], srcc[group], lowest) for group in srcc if group in largest]
    left = element("p", words.groups_left(len(srcc) - len(panels))) if len(panels) < len(srcc) else None
    return join(_panels(panels), left)


def _group_panel(group: str, size: int, srcc: Mapping[str, Any], lowest: float) -> Markup:
    caption = element("figcaption", element("b", group), element("small", count(size, "image")))
    return element("figure", caption, figures.bars(srcc, f"SRCC of each metric on {group}", lowest))


def errors(results: Results, baseline: str | None) -> Markup | None:
    """Figure 6: how far off each metric is where the baseline is furthest off."""
    drawn = {split: _errors_of_split(results, split, baseline) for split in results["splits"]}
    return _by_split(results, drawn) if any(drawn.values()) else None


def _errors_of_split(results: Results, split: str, baseline: str | None) -> Markup:
    pair = choose_pair(results, split, baseline)
    if pair is None:
        return Markup()
    scored = {name: predictions(results, split, name) for name in rows(results, split)}
    whole = {name: shown for name, shown in scored.items() if shown.logistic}
    hardest = hardest_images(whole[pair[0]])
    parts = {name: shown.only(hardest) for name, shown in whole.items()}
    drawn = figures.densities({name: part.errors for name, part in parts.items() if len(part)}, pair[0])
    panels = [_panel(name, words.error_caption(parts[name], whole[name]), drawing) for name, drawing in drawn.items()]
    return join(element("p", words.errors(pair[0], len(hardest), len(whole[pair[0]]))), _panels(panels))


def hardest_images(shown: Predictions, share: float = HARDEST) -> np.ndarray:
    """Positions of the images on which a metric errs most, at least one."""
    most = max(1, round(share * len(shown)))
    return shown.positions[np.argsort(-shown.errors, kind="stable")[:most]]


def gallery(results: Results, image_root: Path, baseline: str | None) -> Markup | None:
    """Figure 7: images on which the best metric and the baseline disagree most about MOS."""
    drawn = {split: _gallery_of_split(results, split, image_root, baseline) for split in results["splits"]}
    return _by_split(results, drawn) if any(drawn.values()) else None


def _gallery_of_split(results: Results, split: str, image_root: Path, baseline: str | None) -> Markup:
    pair = choose_pair(results, split, baseline)
    if pair is None:
        return Markup()
    scored = {name: predictions(results, split, name) for name in rows(results, split)}
    won, lost = disputes(results, scored[pair[1]], scored[pair[0]])
    parts = [element("p", words.gallery(pair[1], pair[0]))]
    for title, chosen in ((f"{pair[1]} closer to people", won), (f"{pair[0]} closer to people", lost)):
        cards = [_card(results, dispute, pair, scored, image_root) for dispute in chosen]
        parts.append(join(element("h3", title), element("div", *cards, class_="cards")))
    return join(*parts)


def _card(
    results: Results, dispute: Dispute, pair: tuple[str, str], scored: Mapping[str, Predictions], image_root: Path
) -> Markup:
    image = dispute.image
    prompt = image["columns"].get("prompt")
    source = thumbnail(image_root / image["name"])
    picture = element("img", src=source, alt=prompt or image["name"]) if source else _absent()
    line = figures.number_line(results["dataset"]["mos_range"], image["mos"], dispute.best, dispute.baseline)
    said = element(
        "p",
        element("b", f"MOS {image['mos']:.2f}"),
        f"; {pair[1]} {dispute.best:.2f}, {pair[0]} {dispute.baseline:.2f}",
    )
    folded = element("details", element("summary", "All scores"), _scores(image, scored))
    words_of = element("p", prompt, class_="quiet") if prompt else None
    return element(
        "article", picture, element("h4", image["name"]), words_of, line, said, *_gates(image, pair[::-1]), folded
    )


def _absent() -> Markup:
    return element("div", "image not found or unreadable", class_="absent")


def _scores(image: Mapping[str, Any], scored: Mapping[str, Predictions]) -> Markup:
    lines = []
    for name, shown in scored.items():
        score = image["scores"].get(name)
        if score is not None:
            mapped = float(shown.on_mos_scale(np.array([score]))[0])
            lines.append((name, f"{score:.4g}", f"{mapped:.2f}" if np.isfinite(mapped) else "-"))
    return plain_table(("Metric", "Score", "As MOS"), lines)


def _gates(image: Mapping[str, Any], names: Iterable[str]) -> list[Markup]:
    """Gate weights of these metrics, as far as they have any."""
    given = image.get("gate") or {}
    lines = []
    for name in (one for one in dict.fromkeys([*names, *given]) if given.get(one)):
        weights = given[name]
        experts = GATE if len(weights) == len(GATE) else tuple(f"expert {i + 1}" for i in range(len(weights)))
        text = ", ".join(f"{expert} {weight:.2f}" for expert, weight in zip(experts, weights, strict=True))
        lines.append(element("p", f"Gate of {name}: {text}", class_="quiet"))
    return lines


def run(results: Results) -> Markup:
    """Versions, hashes, options: what is needed to do it again."""
    environment, dataset = results["environment"], results["dataset"]
    facts = {
        "Packages": ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items()),
        "Python": environment.get("python"),
        "Git commit": environment.get("git_commit"),
        "Threads": str(environment["threads"]) if environment.get("threads") else None,
        f"SHA-256 of {dataset['csv']}": dataset.get("csv_sha256"),
        "SHA-256 of the images' pixels": dataset.get("images_sha256"),
    }
    titles = ("Metric", "As asked for", "Options", "Version", "Weights (SHA-256)", "Trained on", "Device")
    lines = [
        (
            participant["name"],
            participant["spec"],
            ", ".join(f"{key}={value}" for key, value in (participant.get("options") or {}).items()) or "-",
            participant.get("version") or "-",
            (participant.get("weights_sha256") or "-")[:16],
            _training_data(participant.get("trained_on")),
            participant.get("device") or "-",
        )
        for participant in results["participants"]
    ]
    box = {"class_": "scroll words", "tabindex": "0", "role": "region", "aria_label": "Metrics"}
    table = element("div", plain_table(titles, lines), **box)
    return join(_facts(facts), table)


def _training_data(known: Mapping[str, Any] | None) -> str:
    return f"{known['dataset']}, {known['split']} split" if known else "not known"


def footer() -> Markup:
    """Where the method comes from."""
    return element("footer", element("p", words.FOOTER, class_="quiet"))
