"""Metrics ranked over several data sets: by Borda's count, since figures of different data sets have no common mean.

Each data set is a voter that puts the metrics in the order of their SRCC: a metric gets a point for every other that it
beats there, half a point where both are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maagiqa_pyiqa.leaderboard.results import Results
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable


@dataclass(frozen=True)
class Standing:
    """One metric over all data sets: its points, its SRCC on each, and whether it is known to be zero-shot on all."""

    name: str
    points: float
    srcc: tuple[float, ...]
    zero_shot: bool

    @property
    def mean_srcc(self) -> float:
        """Decides between equal points."""
        return sum(self.srcc) / len(self.srcc)


@dataclass(frozen=True)
class Overall:
    """Standings, best first, and why other metrics have none, by name; ``voters`` names data sets and splits."""

    voters: tuple[str, ...]
    standings: tuple[Standing, ...]
    left_out: Mapping[str, str]


def borda_points(figures: Mapping[str, float]) -> dict[str, float]:
    """Points that one voter gives: for each metric, how many others have a lower figure, equal ones counting half."""
    return {
        name: sum((figure > other) + (figure == other) / 2 for rival, other in figures.items() if rival != name)
        for name, figure in figures.items()
    }


def rank_over(results: Sequence[Results]) -> Overall:
    """Rank the metrics that have a figure on every data set, none of which they were trained on.

    Args:
        results: of one data set each; the first split of each votes.

    Raises:
        ValueError: fewer than two data sets, the same one twice, or fewer than two metrics to be ranked.
    """
    voters = [f"{one.dataset.name}, {next(iter(one.splits))}" for one in results]
    if len({one.dataset.name for one in results}) < max(len(results), 2):
        raise InputError(f"a ranking over data sets needs two or more different ones, got: {', '.join(voters)}.")
    figures = [_figures(one) for one in results]
    left_out = _left_out(results, figures)
    names = [name for name in figures[0] if name not in left_out]
    if len(names) < 2:
        raise InputError(f"fewer than two metrics have figures on all of: {'; '.join(voters)}. {_reasons(left_out)}")
    points = [borda_points({name: of_voter[name] for name in names}) for of_voter in figures]
    standings = [
        Standing(
            name,
            sum(of_voter[name] for of_voter in points),
            tuple(of_voter[name] for of_voter in figures),
            all(_zero_shot(one)[name] for one in results),
        )
        for name in names
    ]
    standings.sort(key=lambda standing: (-standing.points, -standing.mean_srcc))
    return Overall(tuple(voters), tuple(standings), left_out)


def _figures(results: Results) -> dict[str, float]:
    """SRCC on the first split, of metrics that were not trained on its images."""
    rows = next(iter(results.splits.values())).rows
    return {row.name: srcc.value for row in rows if not row.seen_in_training and (srcc := row.figures.get("srcc"))}


def _zero_shot(results: Results) -> dict[str, bool]:
    return {one.name: bool(one.zero_shot) for one in results.participants}


def _left_out(results: Sequence[Results], figures: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Why a metric cannot be ranked, by name."""
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(one.name for result in results for one in result.participants):
        for result, of_voter in zip(results, figures, strict=True):
            if name not in of_voter:
                seen = any(row.name == name and row.seen_in_training for row in next(iter(result.splits.values())).rows)
                what = "trained on images of" if seen else "no figure on"
                reasons.setdefault(name, f"{what} {result.dataset.name}")
    return reasons


def _reasons(left_out: Mapping[str, str]) -> str:
    return "Left out: " + "; ".join(f"{printable(name)} ({reason})" for name, reason in left_out.items()) + "."


def as_text(overall: Overall) -> str:
    """The ranking for the terminal."""
    width = max(len(printable(standing.name)) for standing in overall.standings)
    lines = [f"Borda's count over {len(overall.voters)} data sets: {'; '.join(map(printable, overall.voters))}"]
    lines.append(f"rank  {'metric':<{width}}  points  SRCC on each")
    for rank, standing in enumerate(overall.standings, start=1):
        srcc = "  ".join(f"{value:.4f}" for value in standing.srcc)
        note = "  zero-shot" if standing.zero_shot else ""
        lines.append(f"{rank:>4}  {printable(standing.name):<{width}}  {standing.points:>6.1f}  {srcc}{note}")
    return "\n".join([*lines, *([_reasons(overall.left_out)] if overall.left_out else [])])
