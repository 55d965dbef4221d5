"""Results of made-up metrics that follow MOS with noise, on any list of images."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from maagiqa_pyiqa.agreement.bootstrap import draw_resamples, estimate
from maagiqa_pyiqa.agreement.statistics import judge
from maagiqa_pyiqa.leaderboard.results import (
    Dataset,
    GroupRow,
    Participant,
    Published,
    Results,
    Row,
    ScoredImage,
    Split,
)
from maagiqa_pyiqa.leaderboard.training_data import TrainingData
from maagiqa_pyiqa.support.environment import Environment

RESAMPLES = 100
PUBLISHED = {"plcc": 0.9273, "krcc": 0.7211, "rmse": 0.3756}
GROUP_STATISTICS = ("srcc", "plcc", "rmse_fitted")
ODD_NAME = "<script>alert('x')<\\script> & \"q\".png"


@dataclass(frozen=True)
class Made:
    """A made-up metric: MOS with noise, brought to a scale of its own, negated where lower is better."""

    name: str
    noise: float
    scale: float = 1.0
    lower_better: bool = False
    gate: bool = False
    published: float | None = None
    missing: tuple[str, ...] = ()  # images it has no score for

    def scores(self, images, seed):
        noise = np.random.default_rng(seed).normal(0, self.noise, len(images))
        values = (np.array([image.mos for image in images]) + noise) * self.scale
        return -values if self.lower_better else values


METRICS = (
    Made("good", 0.35, gate=True, published=0.8939),
    Made("fair|*", 0.7, missing=("image_003.png",)),
    Made("worse_when_high", 1.5, scale=12.0, lower_better=True),
)
FAILED = (("out-of-reach", "no weights: <b>hub</b> & 100% out of reach_"),)


def small_results(folder, count=60, metrics=METRICS, failed=FAILED):
    """Tiny images on disk, one of them oddly named, one absent, and results on two splits that overlap."""
    mos = np.random.default_rng(0).uniform(0.2, 4.8, count)
    images = []
    for i in range(count):
        name = ODD_NAME if i == 0 else f"image_{i:03}.png"
        splits = ["official"] * (i % 4 != 2) + ["prompt-disjoint"] * (i % 4 != 1)
        columns = {"generator": ("SDXL", "GLIDE", "Attn<GAN>")[i % 3], "prompt": f"a <i>cat</i> no. {i}", "style": None}
        images.append(make_image(name, float(mos[i]), splits, columns))
        if i != 1:
            Image.new("RGB", (40, 30), (int(50 * mos[i]), 90, 120)).save(folder / name)
    return make_results(images, metrics, failed)


def paths_of(results, folder):
    """Where the images of results lie."""
    return {image.name: folder / image.name for image in results.images}


def make_image(name, mos, splits=("official",), columns=None):
    """An image without scores yet."""
    return ScoredImage(name=name, mos=mos, splits=tuple(splits), columns=columns or {}, scores={}, gate={})


def make_results(images, metrics, failed=(), columns=("generator",), name="AGIQA-3k"):
    """Results on these images; ``failed`` are pairs of name and reason."""
    images = _scored(images, metrics)
    splits = dict.fromkeys(split for image in images for split in image.splits)
    return Results(
        created="2026-11-23T15:00:00Z",
        seed=0,
        resamples=RESAMPLES,
        environment=Environment(
            packages={"maagiqa_pyiqa": "0.1.0", "pyiqa": "0.1.16", "torch": "2.15.0"},
            git_commit="6061a68c0ffee",
            python="3.11.7",
            machine="x86_64, 2 cores, AMD EPYC",
            threads=2,
        ),
        dataset=Dataset(
            name=name,
            csv="data.csv",
            csv_sha256="c5f0" * 16,
            images_sha256="1a9e" * 16,
            images=len(images),
            identical_images=(),
            mos_range=(0, 5),
            group_columns=tuple(columns),
            resampled_by=None,
        ),
        participants=tuple([_participant(metric) for metric in metrics] + [_failed(*pair) for pair in failed]),
        splits={split: _split(metrics, images, split, columns) for split in splits},
        images=images,
    )


def with_rows(results, split, rows):
    """The same results with other rows of a split."""
    return replace(results, splits={**results.splits, split: replace(results.splits[split], rows=tuple(rows))})


def with_score(results, position, metric, score):
    """The same results with another score of one image."""
    images = list(results.images)
    images[position] = replace(images[position], scores={**images[position].scores, metric: score})
    return replace(results, images=tuple(images))


def _scored(images, metrics):
    scores = {metric: metric.scores(images, seed) for seed, metric in enumerate(metrics, start=1)}
    return tuple(
        replace(
            image,
            scores={m.name: float(scores[m][i]) for m in metrics if image.name not in m.missing},
            gate={metric.name: (0.12, -0.2, 1.08) for metric in metrics if metric.gate},
        )
        for i, image in enumerate(images)
    )


def _split(metrics, images, split, columns):
    inside = [image for image in images if split in image.splits]
    rows = [_row(metric, inside, metric.published if split == "official" else None) for metric in metrics]
    rows.sort(key=lambda row: -row.figures["srcc"].value)
    tests = ((None, None), (0.2, 0.012), (0.0004, 0.08))
    rows = [
        replace(row, is_best=i == 0, p_against_best=tests[min(i, 2)][0], detectable=tests[min(i, 2)][1])
        for i, row in enumerate(rows)
    ]
    ranked = sorted(metrics, key=lambda metric: [row.name for row in rows].index(metric.name))
    groups = {column: _groups(ranked, inside, column) for column in columns}
    return Split(part="test", images=len(inside), prompts=None, rows=tuple(rows), published_only={}, groups=groups)


def _row(metric, images, published=None):
    n, figures, logistic = _measure(metric, images)
    printed = published and Published("paper, Table 1", {"srcc": published, **PUBLISHED})
    return Row(name=metric.name, n=n, figures=figures, logistic=logistic, published=printed)


def _measure(metric, images):
    scored = [image for image in images if metric.name in image.scores]
    sign = -1 if metric.lower_better else 1
    judged, logistic = judge([sign * image.scores[metric.name] for image in scored], [image.mos for image in scored])
    return len(scored), estimate(judged, draw_resamples(len(scored), RESAMPLES, 0)), logistic


def _groups(metrics, images, column):
    rows = []
    for group in dict.fromkeys(image.columns[column] for image in images):
        members = [image for image in images if image.columns[column] == group]
        for metric in metrics:
            n, figures, _ = _measure(metric, members) if len(members) >= 5 else (len(members), {}, None)
            figures = {key: figures.get(key) for key in GROUP_STATISTICS}
            rows.append(GroupRow(group=group or "none", name=metric.name, n=n, figures=figures))
    return tuple(rows)


def _participant(metric):
    return Participant(
        name=metric.name,
        spec=metric.name,
        kind="metric",
        lower_better=metric.lower_better,
        trained_on=TrainingData(dataset="agiqa-3k") if metric.gate else None,
        zero_shot=False if metric.gate else None,
        options={"semantics": "visual"} if metric.gate else {},
        weights_sha256="0123456789abcdef" * 4,
        version="pyiqa 0.1.16",
        parameters=3_900_000,
        peak_memory_bytes=1_200_000_000,
        images_per_second=7.6,
        device="cpu",
        status="partial" if metric.missing else "ok",
        reason=None,
        failed_images=dict.fromkeys(metric.missing, "not an image"),
    )


def _failed(name, reason):
    unknown = dict.fromkeys(("weights_sha256", "parameters", "peak_memory_bytes", "images_per_second", "device"))
    return replace(_participant(Made(name, 0)), **unknown, status="failed", reason=reason)
