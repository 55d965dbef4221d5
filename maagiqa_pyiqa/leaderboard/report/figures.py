"""The charts of the report as SVG: scatter with the fitted curve, bars by group, density of errors, small intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from markupsafe import Markup

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.leaderboard.report.axes import WIDTH, Axes, Scale, svg, text
from maagiqa_pyiqa.leaderboard.report.svg import element, join, number
from maagiqa_pyiqa.leaderboard.report.view import Predictions

BIN = 0.1  # of absolute errors, as in the paper's Figure 6
MISSES = 3  # largest errors ringed in a scatter
BAR, GAP, NAMES, VALUES = 13, 6, 112, 42  # of a bar chart: bar height, gap, room for names and for values
CURVE_POINTS = 60
LAYERS = 4  # of dots: those of one path do not darken where they overlap
ARROW = 4  # length of the head on an interval that leaves the axis
NO_REASONS: Mapping[str, str] = MappingProxyType({})
LETTERS = 15  # of a name in a bar chart


def scatter(
    predictions: Predictions, mos_range: tuple[float, float], names: Sequence[str], behind: Predictions | None = None
) -> Markup:
    """Score against MOS, one dot an image, the fitted logistic as a line, the largest misses ringed.

    Args:
        predictions: the images to show.
        mos_range: ends of the MOS axis.
        names: file names of these images, for the rings.
        behind: images drawn pale behind them, such as all of which these are a part.
    """
    everything = behind or predictions
    low, high = _limits(everything.scores)
    axes = Axes.spanning((low, high), mos_range, _score_axis(predictions), "MOS")
    curve = np.linspace(low, high, CURVE_POINTS)
    parts = [axes.draw()]
    if behind is not None:
        parts.append(element("path", d=axes.dots(behind.scores, behind.mos), class_="dots pale"))
    for layer in range(LAYERS):
        dots = axes.dots(predictions.scores[layer::LAYERS], predictions.mos[layer::LAYERS])
        parts.append(element("path", d=dots, class_="dots" if behind is None else "dots front"))
    if predictions.logistic:
        fitted = np.clip(predictions.on_mos_scale(curve), *mos_range)
        parts.append(element("path", d=axes.line(curve, fitted), class_="fit"))
        parts += _rings(predictions, names, axes)
    return svg(f"Scores of {predictions.name} against MOS on {len(predictions)} images", *parts)


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin


def _score_axis(predictions: Predictions) -> str:
    return "score (lower is better)" if predictions.lower_better else "score"


def _rings(predictions: Predictions, names: Sequence[str], axes: Axes) -> list[Markup]:
    rings = []
    for i in np.argsort(-predictions.errors)[:MISSES]:
        mos, score, error = predictions.mos[i], predictions.scores[i], predictions.errors[i]
        title = f"{names[i]}: MOS {mos:.2f}, score {score:.4g}, off by {error:.2f}"
        place = {"cx": float(axes.x(score)), "cy": float(axes.y(mos)), "r": 5.0}
        rings.append(element("circle", element("title", title), class_="ring", **place))
    return rings


def bars(
    figures: Mapping[str, Estimate | None],
    description: str,
    lowest: float = 0.0,
    absent: Mapping[str, str] = NO_REASONS,
) -> Markup:
    """Horizontal bars by metric with their intervals; the axis ends at 1.

    Args:
        figures: by metric, in the order to be drawn; None where there is none.
        description: what is shown, in words.
        lowest: where the axis starts, zero or below.
        absent: why there is no figure, by metric.
    """
    scale = Scale(min(lowest, 0.0), 1.0, NAMES, WIDTH - VALUES)
    height = len(figures) * (BAR + GAP) + 20
    parts = [_bar_grid(scale, height)]
    for row, (name, figure) in enumerate(figures.items()):
        parts.append(_bar(name, figure, scale, GAP / 2 + row * (BAR + GAP), absent.get(name, "too few images")))
    return svg(description, *parts, height=height)


def _bar_grid(scale: Scale, height: float) -> Markup:
    parts = []
    for tick in (-0.5, 0.0, 0.5, 1.0):
        if tick >= scale.low:
            x = scale(tick)
            parts.append(element("line", x1=x, x2=x, y1=0.0, y2=height - 18.0, class_="grid" if tick else "axis"))
            parts.append(text(x, height - 5, number(tick), "middle"))
    return join(*parts)


def _bar(name: str, figure: Estimate | None, scale: Scale, top: float, absent: str) -> Markup:
    short = name if len(name) <= LETTERS else name[: LETTERS - 1] + "\u2026"
    parts = [text(NAMES - 6, top + BAR - 3, short, "end")]
    if figure is None:
        parts.append(text(scale(0) + 4, top + BAR - 3, absent, class_="name"))
        return element("g", element("title", f"{name}: {absent}"), *parts, data_metric=name)
    start, end = sorted((scale(0), scale(figure.value)))
    parts.append(element("rect", x=start, y=top, width=max(end - start, 0.5), height=float(BAR), class_="bar"))
    parts.append(_whisker(figure, scale, top + BAR / 2))
    parts.append(text(WIDTH - VALUES + 6, top + BAR - 3, f"{figure.value:.3f}"))
    title = element("title", f"{name}: {figure.value:.4f} {figure.interval}")
    return element("g", title, *parts, data_metric=name)


def _whisker(figure: Estimate, scale: Scale, y: float) -> Markup:
    if figure.low is None or figure.high is None:
        return Markup()
    low, high = (scale(min(max(end, scale.low), scale.high)) for end in (figure.low, figure.high))
    ends = [_end(low, y, -ARROW * (figure.low < scale.low)), _end(high, y, ARROW * (figure.high > scale.high))]
    return element("path", d=f"M{number(low)} {number(y)}H{number(high)}{''.join(ends)}", class_="whisker")


def _end(x: float, y: float, arrow: int) -> str:
    """The end of an interval: a bar, or the head of an arrow where the interval goes on beyond the axis."""
    return f"M{number(x - arrow)} {number(y - 3)}l{arrow} 3l{-arrow} 3" if arrow else f"M{number(x)} {number(y - 3)}v6"


def strip(figure: Estimate, published: float | None = None, lowest: float = 0.0) -> Markup:
    """A figure between zero and one as a dot with its interval, the published one as a diamond; one line high."""
    scale = Scale(min(lowest, 0.0), 1.0, 6, 94)
    parts = [element("line", x1=6.0, x2=94.0, y1=9.0, y2=9.0, class_="grid"), _whisker(figure, scale, 9)]
    title = f"{figure.value:.4f} {figure.interval}"
    if published is not None:
        title += f", published {published:.4f}"
        parts.append(element("path", d=f"M{number(scale(published))} 4l4 5l-4 5l-4 -5z", class_="published"))
    parts.append(element("circle", cx=float(scale(figure.value)), cy=9.0, r=3.5, class_="dot"))
    return svg(title, element("title", title), *parts, width=100, height=18, class_="strip")


def error_shares(errors: np.ndarray, highest: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares of images by absolute error, in bins of 0.1.

    Args:
        errors: absolute errors (N,).
        highest: the bins reach at least so far.

    Returns:
        Lower edges of the bins (B,) and shares (B,), which sum to 1.
    """
    bins = max(1, int(np.ceil(round(highest / BIN, 6))))
    counts = np.bincount(np.minimum((errors / BIN + 1e-9).astype(int), bins - 1), minlength=bins)
    return np.arange(bins) * BIN, counts / max(len(errors), 1)


def densities(errors: Mapping[str, np.ndarray], baseline: str) -> dict[str, Markup]:
    """How large the errors are: one panel a metric on common axes, the baseline dashed in each."""
    highest = max(float(e.max(initial=0)) for e in errors.values()) or BIN
    shares = {name: error_shares(e, highest) for name, e in errors.items()}
    top = max(float(share.max()) for _, share in shares.values())
    reach = BIN * max(1, int(np.ceil(round(highest / BIN, 6))))
    axes = Axes.spanning((0, reach), (0, top * 1.05), "absolute error", "share of images", percent=True)
    return {name: _density(name, shares, baseline, axes) for name in errors}


def _density(name: str, shares: Mapping[str, tuple[np.ndarray, np.ndarray]], baseline: str, axes: Axes) -> Markup:
    parts = [axes.draw()]
    steps = {n: axes.line(*_steps(*shares[n])) for n in (name, baseline)}
    if name != baseline:
        floor = axes.y(0)
        closed = f"{steps[name]}L{number(axes.x.end)} {number(floor)}L{number(axes.x.start)} {number(floor)}Z"
        parts += [element("path", d=closed, class_="area"), element("path", d=steps[name], class_="curve")]
    parts.append(element("path", d=steps[baseline], class_="curve baseline"))
    return svg(f"Absolute errors of {name} where {baseline} errs most", *parts)


def _steps(edges: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a step curve over bins."""
    return np.repeat(np.append(edges, edges[-1] + BIN), 2)[1:-1], np.repeat(shares, 2)


def number_line(mos_range: tuple[float, float], mos: float, best: float, baseline: float) -> Markup:
    """MOS as a triangle, the best metric as a disc and the baseline as a ring on one line of the MOS scale."""
    scale = Scale(*mos_range, 10, 190)
    parts = [element("line", x1=10.0, x2=190.0, y1=16.0, y2=16.0, class_="axis")]
    for tick in (mos_range[0], mos_range[1]):
        parts.append(text(scale(tick), 33, number(tick), "middle"))
    places = [scale(float(np.clip(value, *mos_range))) for value in (mos, baseline, best)]
    parts.append(element("path", d=f"M{number(places[0])} 14l-5 -10h10z", class_="truth"))
    parts.append(element("circle", cx=places[1], cy=16.0, r=5.0, class_="hollow"))
    parts.append(element("circle", cx=places[2], cy=16.0, r=4.0, class_="dot"))
    title = f"MOS {mos:.2f}, best metric {best:.2f}, baseline {baseline:.2f}"
    return svg(title, element("title", title), *parts, width=200, height=36, class_="number-line")
