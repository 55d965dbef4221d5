"""Handcrafted peers are rows once their parameter files are where pyiqa looks; docs/peers.md has what is published."""

import re

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from maagiqa_pyiqa.leaderboard.entrants import DEFAULT_METRICS
from maagiqa_pyiqa.leaderboard.published import load_published
from maagiqa_pyiqa.leaderboard.run import run_benchmark
from maagiqa_pyiqa.metrics.cost import Cost
from maagiqa_pyiqa.metrics.score_store import ScoreStore
from tests.helpers.benchmark_runs import participants_of, rows_of
from tests.helpers.places import ROOT

IMAGES = 6
NATURAL_FEATURES = 36  # of BRISQUE and of NIQE
FEATURES, COMPONENTS = 468, 430  # of IL-NIQE


@pytest.fixture
def placed(no_hosts):
    """Parameter files of the published names and shapes, with made-up numbers."""
    generator = np.random.default_rng(0)
    no_hosts.mkdir()
    vectors = torch.from_numpy(generator.normal(size=(20, NATURAL_FEATURES))).float()
    torch.save((torch.from_numpy(generator.normal(size=20)).float(), vectors), no_hosts / "brisque_svm_weights.pth")
    niqe = {"mu_prisparam": generator.normal(size=(1, NATURAL_FEATURES)), "cov_prisparam": np.eye(NATURAL_FEATURES)}
    savemat(no_hosts / "niqe_modelparameters.mat", niqe)
    template = np.empty((1, 4), object)
    template[0, 0], template[0, 1] = generator.normal(size=(1, COMPONENTS)), np.eye(COMPONENTS)
    template[0, 2], template[0, 3] = generator.normal(size=(FEATURES, 1)), generator.normal(size=(FEATURES, COMPONENTS))
    savemat(no_hosts / "ILNIQE_templateModel.mat", {"templateModel": template})
    return no_hosts


@pytest.fixture
def photographs(tmp_path):
    """A table of pictures with more and more noise, and ratings that fall with it."""
    folder, rows = tmp_path / "pictures", []
    folder.mkdir()
    smooth = np.linspace(40, 200, 192)[None, :, None] * np.ones((192, 1, 3))
    for level in range(IMAGES):
        noise = np.random.default_rng(level).normal(0, 6 * level + 2, smooth.shape)
        Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{level}.png")
        rows.append({"name": f"{level}.png", "mos": 5 - 0.5 * level})
    pandas.DataFrame(rows).to_csv(tmp_path / "pictures.csv", index=False)
    return {"csv": str(tmp_path / "pictures.csv"), "root": str(folder), "group_columns": []}


def test_brisque_and_niqe_are_rows_once_their_files_are_placed(options, placed, photographs):
    results = run_benchmark(options(**photographs, metrics=["brisque", "niqe"]))
    assert {name: row.n for name, row in rows_of(results).items()} == {"brisque": IMAGES, "niqe": IMAGES}
    for one in results.participants:
        assert (one.status, one.lower_better, one.zero_shot) == ("ok", True, True)
        assert len(one.weights_sha256) == 64
    before = participants_of(results)["niqe"].weights_sha256
    savemat(
        placed / "niqe_modelparameters.mat",
        {"mu_prisparam": np.zeros((1, NATURAL_FEATURES)), "cov_prisparam": np.eye(NATURAL_FEATURES)},
    )
    again = run_benchmark(options(**photographs, metrics=["niqe"]))
    assert participants_of(again)["niqe"].weights_sha256 != before  # other parameters are another metric


def test_a_file_that_is_missing_is_named_with_where_it_goes(options, no_hosts, photographs):
    results = run_benchmark(options(**photographs, metrics=["ilniqe"]))
    reason = participants_of(results)["ilniqe"].reason
    assert "put ILNIQE_templateModel.mat (" in reason
    assert str(no_hosts) in reason


def test_what_takes_long_is_said_before_it_starts(options, placed, photographs, monkeypatch, capsys):
    monkeypatch.setattr("maagiqa_pyiqa.leaderboard.run_metrics.LONG", 100.0)
    monkeypatch.setattr("maagiqa_pyiqa.leaderboard.run_metrics._score", lambda *_: (0, 0.0))  # not for three minutes
    monkeypatch.setattr(ScoreStore, "cost", lambda *_: Cost(1, 42.0, 0, 0, "cpu"))
    run_benchmark(options(**photographs, metrics=["ilniqe"]))
    assert "ilniqe takes about 42 s an image, so 0.1 hours for 6 images; stop it" in capsys.readouterr().err


def test_the_page_on_peers_names_all_of_them_with_their_published_figures():
    page = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    cells = {row[1].strip("` "): row for line in page.splitlines() if len(row := line.split("|")) > 5}
    table = next(table for table in load_published() if table.dataset == "agiqa-3k")
    printed = {name: published.figures["srcc"] for names, published in table.rows for name in names}
    for name in DEFAULT_METRICS:
        said = re.findall(r"0\.\d{4}", cells[name][-2])
        assert said[:1] == ([f"{printed[name]:.4f}"] if name in printed else []), name
