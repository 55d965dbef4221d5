r"""Tables 3 and 5 of the paper on answers of a real language model: what they bring on quality and on alignment.

    python -m benchmarks.answers.study --data AGIQA-3K --answers TABLE.csv --out study/

TABLE.csv holds, for every row of the data set's data.csv, a description of the image that a model gave without being
asked for a score (``answer``), and its ratings of how well image and prompt agree (``consistency``, ``consistency2``).

Nothing that is frozen has seen a rating: two EfficientNets as ImageNet left them look at the images as they are, and a
text encoder that is fitted on the training part's texts reads the answers. The fusion is the package's, trained for
each row, seed and split until the validation part says that it is enough. Trunks that were trained on the official
split have seen much of what the folds test, so they are of no use here. What is done is kept; a stopped run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.ablation import ROWS, Row, name_of
from benchmarks.answers.experts import COLUMNS, Inputs, inputs_of, take_answers
from benchmarks.answers.figures import ScoredPart, group_table, table
from benchmarks.answers.training import train
from benchmarks.answers.trunks import trunk_statistics
from maagiqa_pyiqa.data.agi_dataset import read_table
from maagiqa_pyiqa.data.splits import FOLD_SPLITS, Split, make_split
from maagiqa_pyiqa.support.files import write_whole, written_whole

WITH_PROMPT = {"quality + prompt": Row(True, (2,)), "all + prompt, MoE": Row(True, (0, 1, 2))}
ALL_ROWS = {**ROWS, **WITH_PROMPT}
TARGETS = ("mos_quality", "mos_align")  # what is to be predicted
PROTOCOLS = {"official split": ("official",), "five prompt-grouped folds": FOLD_SPLITS}


@dataclass
class Study:
    """Images with ratings and answers, and where everything is kept."""

    data: Path
    answers: Path
    out: Path
    seeds: Sequence[int]

    def __post_init__(self) -> None:
        self.table = read_table(self.data / "data.csv", ("name", "prompt", *TARGETS))
        self.paths = [self.data / "images" / str(name) for name in self.table["name"]]
        self.prompts = list(self.table["prompt"])

    def split(self, name: str) -> Split:
        """Rows by part."""
        return make_split(name, self.prompts, len(self.table))

    def inputs(self, split: str) -> Inputs:
        """What the experts of a split are given."""
        file = self.out / "inputs" / f"{split.replace(':', '_')}.pt"
        if not file.exists():
            folder = self.out / "answers"
            take_answers(read_table(self.answers, COLUMNS), self.data / "images", folder)
            statistics = trunk_statistics(self.paths, self.out / "trunks")
            with written_whole(file) as part:
                torch.save(tuple(inputs_of(statistics, folder, self.paths, self.split(split)["train"])), part)
        return Inputs(*torch.load(file, weights_only=True))

    def scores(self, split: str, target: str, row: str) -> np.ndarray:
        """Scores of the test part by seed, (seeds, N)."""
        found = []
        for seed in self.seeds:
            file = self.out / "scores" / f"{target}_{split.replace(':', '_')}_{name_of(row, seed)}.npy"
            if not file.exists():
                mos = self.table[target].to_numpy(float)
                scores = train(ALL_ROWS[row], self.inputs(split), mos, self.split(split), seed)
                with written_whole(file) as part, open(part, "wb") as opened:
                    np.save(opened, scores)
            found.append(np.load(file))
        return np.stack(found)

    def tested(self, split: str, target: str) -> ScoredPart:
        """The test part with the scores of all rows."""
        rows = self.split(split)["test"]
        scores = {row: self.scores(split, target, row) for row in tqdm(ALL_ROWS, desc=f"{target} {split}")}
        return ScoredPart(self.table[target].to_numpy(float)[rows], [self.prompts[row] for row in rows], scores)

    def generators(self, split: str) -> np.ndarray:
        """Generator of each image of the test part."""
        names = self.table["name"].iloc[self.split(split)["test"]]
        return np.array([str(name).split("_")[0] for name in names])


def report(study: Study) -> str:
    """All tables in Markdown."""
    parts = []
    for target in TARGETS:
        for title, splits in PROTOCOLS.items():
            tested = [study.tested(split, target) for split in splits]
            parts.append(f"### {target}, {title}\n\n{table(tested)}")
            if splits is FOLD_SPLITS:
                groups = [study.generators(split) for split in splits]
                by_generator = group_table(tested, groups, ("all, MoE", "all + prompt, MoE"))
                parts.append(f"### {target}, {title}, by generator\n\n{by_generator}")
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train what is not trained yet, write ``ablation.md``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    parser.add_argument("--answers", type=Path, required=True, help="table of answers")
    parser.add_argument("--out", type=Path, required=True, help="folder to keep everything in")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    text = report(Study(parsed.data, parsed.answers, parsed.out, range(parsed.seeds)))
    write_whole(parsed.out / "ablation.md", text)
    print(text)


if __name__ == "__main__":
    main()
