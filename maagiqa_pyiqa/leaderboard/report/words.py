"""What the page says in words."""

from __future__ import annotations

from maagiqa_pyiqa.leaderboard.report.view import (
    Predictions,
    Results,
    count,
    described,
    figure,
    label,
    rows,
    trained_here,
)

CHANCE = 0.05  # p above which a metric cannot be told from the best

TABLE = (
    "In brackets the 95 % interval; the best of a column is underlined. The small drawing is SRCC between 0 and 1: "
    "dot and whiskers as measured, diamond as published. Under a published figure: ours minus published. Pale figures: "
    "the metric was trained on some of these very images, so it stands below all others and is never the best."
)
MEANS = (
    "SRCC and KRCC ask whether a metric puts the images in the order people do: 1 is the same order, 0 no "
    "relation, below 0 the opposite. The scale of the scores does not matter to them. Higher is better.",
    "PLCC and RMSE ask how close the scores come to MOS itself, after a curve (a 4-parameter logistic) has brought "
    "them to the MOS scale. PLCC: higher is better; RMSE: the usual distance to MOS, lower is better. The curve is "
    "fitted to the very MOS it is judged by, as in the paper's code, which flatters every metric a little.",
    "Metrics of which lower is better were turned round first, so a good one has a positive SRCC like all others.",
    "An interval says where the figure would fall with other images of the same kind. Two intervals that overlap "
    "settle nothing; p does: it compares a metric with the best on the same images. Small p: the distance is "
    "hardly chance. Of twenty metrics as good as the best, one falls below 0.05 by chance.",
)
NOT_MEANS = (
    "How good a metric is on other generators or other people. A metric trained on the training part of this data "
    "set meets images of the same generators rated by the same people; one that never saw it (brisque, niqe, "
    "clipiqa, ...) has the harder task, and the two are not in the same race.",
    "Whether an image shows what its prompt asked for. MOS here is quality as people see it.",
    "How much a training run varies: each trained metric is one checkpoint. Speed, memory and device are those of "
    "the machine named here.",
    "Published figures may come from other weights, code and preprocessing under the same name.",
)
NOT_OFFICIAL = (
    "How good a metric is on prompts it has not seen. The official split draws images at random, so images of one "
    "prompt are in the training and in the test part: in AGIQA-3k every test image shares its prompt with a "
    "training image."
)
NOT_DISJOINT = (
    "A fair figure on the prompt-disjoint split for a metric trained on the official training part: it has seen "
    "many of these very images. Only metrics trained on the prompt-disjoint training part, or on nothing of this "
    "data set, can be compared there."
)
SUBSET = "PLCC and RMSE use the curve of the whole split; fewer than 5 images give no figure."
SCATTER = (
    "One dot an image: across what the metric says, up what people say. The line is the fitted curve; the narrower "
    "the cloud around it, the better. Rings mark the three largest misses (point at one for the file's name)."
)
GROUPS = (
    "SRCC within one group of images at a time, with its 95 % interval. It is usually lower than overall: telling "
    "good generators from bad ones is easier than telling images of one generator apart."
)
FOOTER = (
    "Made by maagiqa_pyiqa with metrics of pyiqa. Method: Wang et al., Large Multi-modality Model Assisted "
    "AI-Generated Image Quality Assessment, ACM MM 2024. Figures in full: results.json and table.csv beside this "
    "file."
)


def finding(results: Results, split: str) -> str:
    """Who is best on a split, how sure that is, and who cannot be told from it."""
    given = rows(results, split)
    found = {name: f for name, row in given.items() if (f := figure(row, "srcc"))}
    if not found:
        return f"Nothing can be said on {described(results, split)}: no metric has a figure."
    best = next((name for name, row in given.items() if row.get("is_best")), next(iter(found)))
    srcc = found[best]
    text = f"On {described(results, split)} {best} agrees best with people: SRCC {srcc.value:.3f} {srcc.interval}."
    seen = [name for name in trained_here(results, split) if name in found and name != best]
    level = [n for n in found if n not in (best, *seen) and (given[n].get("p_against_best") or 0) >= CHANCE]
    text += f" Not told apart from it (p at least {CHANCE}): {', '.join(level)}." if level else ""
    return text + (f" Out of the contest, trained on some of these images: {', '.join(seen)}." if seen else "")


def does_not_mean(results: Results) -> list[str]:
    """Warnings, those of a split only where it is there."""
    splits = results["splits"]
    specific = [
        text for name, text in (("official", NOT_OFFICIAL), ("prompt-disjoint", NOT_DISJOINT)) if name in splits
    ]
    return [NOT_MEANS[0], *specific, *NOT_MEANS[1:]]


def fold(split: str) -> str:
    """Title of what is folded away."""
    return label(split) if split == "all" else f"{label(split)} split"


def groups_left(number: int) -> str:
    """What became of the groups not drawn."""
    return f"Not drawn: {count(number, 'smaller group')}; see results.json."


def errors(baseline: str, hardest: int, size: int) -> str:
    """What the density of errors shows, and the trap in it."""
    return (
        f"The {hardest} of {size} images on which {baseline} is furthest from MOS after its fit: how large each "
        f"metric's errors are there, in steps of 0.1; {baseline} dashed. Images chosen because {baseline} fails on "
        "them favour every other metric, so compare the mean errors over all images as well."
    )


def error_caption(part: Predictions, whole: Predictions) -> str:
    """Mean errors on these images and on all."""
    return f"mean error {part.errors.mean():.2f}, over all {whole.errors.mean():.2f}"


def gallery(best: str, baseline: str) -> str:
    """What the gallery shows."""
    return (
        f"Where {best} (disc) and {baseline} (ring) disagree most about MOS (triangle), both brought to the MOS "
        f"scale: first images where {best} is closer, then as many where {baseline} is."
    )
