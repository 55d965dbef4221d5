"""``maagiqa score --engine ray``: what a cluster of actors scores and reports is what one process does."""

import csv
import sys
from pathlib import Path

import pytest

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics import on_ray
from maagiqa_pyiqa.metrics.scoring import ImageScores
from tests.helpers import ray_cluster
from tests.helpers.ray_cluster import GOOD

pytest.importorskip("ray", reason="Ray is not installed; it comes with the extra [ray]")

cluster, environment, folder = ray_cluster.cluster, ray_cluster.environment, ray_cluster.folder


def test_scores_are_those_of_one_process(cluster, folder, tmp_path):
    from pyarrow import parquet

    tables, rows = {}, {}
    for engine in ("local", "ray"):
        files = {kind: str(tmp_path / f"{engine}.{kind}") for kind in ("parquet", "csv")}
        arguments = ["-m", "maagiqa-lite", "-m", "entropy", "--device", "cpu", "--workers", "0", "--engine", engine]
        outputs = ["--parquet", files["parquet"], "--csv", files["csv"]]
        assert main(["score", str(folder), "--batch-size", "3", *arguments, *outputs]) == 1
        tables[engine] = parquet.read_table(files["parquet"])
        with open(files["csv"]) as file:
            rows[engine] = {row["image"]: row for row in csv.DictReader(file)}
    assert tables["ray"].schema.names == ["image", "maagiqa-lite", "entropy", "error"]
    assert [str(kind) for kind in tables["ray"].schema.types] == ["string", "double", "double", "string"]
    ours, expected = ({row["image"]: row for row in tables[engine].to_pylist()} for engine in ("ray", "local"))
    assert ours.keys() == expected.keys() == rows["ray"].keys() == {str(path) for path in folder.iterdir()}
    for image, row in expected.items():
        for metric in ("maagiqa-lite", "entropy"):
            assert ours[image][metric] == pytest.approx(row[metric], abs=1e-5)
            assert rows["ray"][image][metric] == ("" if row[metric] is None else str(ours[image][metric]))
        assert ours[image]["error"] == row["error"]
    assert sum(row["error"] is None for row in ours.values()) == GOOD


def test_a_metric_that_only_some_nodes_have_is_a_reason_at_their_images(monkeypatch):
    results = [
        ({"b": "no weights"}, [ImageScores(Path("1.png"), {"a": 1.0})]),
        ({"a": "no network", "b": "no weights"}, [ImageScores(Path("2.png"))]),
    ]
    monkeypatch.setattr(on_ray, "run_tasks", lambda *_: iter(results))
    unavailable, scores = on_ray.score_with_ray(
        [Path("1.png"), Path("2.png")], ["a", "b"], device="cpu", actors=2, batch_size=1, workers=0
    )
    assert unavailable == {"b": "no weights"}
    assert [result.error for result in scores] == ["", "a: no network"]


def test_without_ray_the_message_says_how_to_install_it(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["score", str(folder), "--engine", "ray"]) == 2
    assert capsys.readouterr().err.endswith("'--engine ray' needs Ray: pip install 'maagiqa_pyiqa[ray]'\n")
