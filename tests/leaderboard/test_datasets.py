"""What is scored: tables that are whole, images from anywhere, and the public datasets."""

import io
import re
import sys
import tarfile

import fsspec
import numpy as np
import pandas
import pytest

from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.run import run_benchmark
from tests.helpers.benchmark_runs import N, participants_of


def test_a_table_that_is_not_whole_is_one_error(options, table, tmp_path):
    rows = pandas.read_csv(table)
    rows.loc[3, "mos"] = np.nan
    pandas.concat([rows, rows.iloc[[1]]]).to_csv(table, index=False)
    (tmp_path / "images" / "picture05.png").unlink()
    with pytest.raises(ValueError, match="3 problems") as error:
        run_benchmark(options())
    for line in ("picture01.png: named more than once", "picture03.png: MOS nan", "picture05.png: no such image"):
        assert line in str(error.value)


@pytest.fixture
def bucket(table, tmp_path):
    """URL of a folder in memory with the table and the images."""
    memory = fsspec.filesystem("memory")
    for path in (table, *(tmp_path / "images").iterdir()):
        memory.pipe_file(f"/rated/{path.name}", path.read_bytes())
    yield "memory://rated"
    memory.rm("/rated", recursive=True)


def test_images_behind_a_url_that_fail_are_named_and_the_others_scored(options, table, bucket, calls):
    memory = fsspec.filesystem("memory")
    memory.rm("/rated/picture02.png")
    memory.pipe_file("/rated/picture05.png", b"no image")
    with table.open("a") as file:
        file.write("nowhere://a/b.png,2,a,other\n")
    results = run_benchmark(options(root=bucket))
    assert len(calls) == N - 2
    entrant = participants_of(results)["brightness"]
    assert entrant.status == "partial"
    failed = entrant.failed_images
    assert set(failed) == {"picture02.png", "picture05.png", "nowhere://a/b.png"}
    for name, words in zip(sorted(failed), ("Protocol not known", "no such file", "not an image"), strict=True):
        assert words in failed[name]


def test_images_of_a_tar_are_scored_once_and_again_where_they_are_others(options, table, tmp_path, calls):
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "images", ".")  # members are called ./picture00.png
    run_benchmark(options(root=str(path)))
    assert len(calls) == N
    calls.clear()
    run_benchmark(options(root=str(path)))
    assert not calls
    with tarfile.open(path, "w") as tar:
        for image in sorted((tmp_path / "images").iterdir())[1:]:
            tar.add(image, image.name)
    with pytest.raises(ValueError, match=r"1 problems\n  picture00\.png: no such image in '.*images\.tar'"):
        run_benchmark(options(root=str(path)))


@pytest.mark.parametrize("root", ["a url", "a tar"])
def test_the_report_shows_pictures_wherever_images_come_from(options, table, bucket, tmp_path, root):
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "images", ".")
    pages = []
    for given in (str(tmp_path / "images"), {"a url": bucket, "a tar": str(path)}[root]):
        run_benchmark(options(root=given, metrics=["brightness", "entropy"]))
        pages.append(re.findall('data:image/jpeg;base64,[^"]+', (tmp_path / "out" / "report.html").read_text()))
    assert pages[0]
    assert pages[0] == pages[1]


def test_a_table_has_its_root_where_it_lies(options, bucket, calls):
    results = run_benchmark(options(csv=f"{bucket}/mine.csv", root=None))
    assert len(calls) == N
    assert (results.dataset.name, results.dataset.csv) == ("mine", "mine.csv")


def test_a_benchmark_of_standard_input_has_a_folder_of_its_own(options, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table.read_bytes())))
    given = options(csv="-", out=None)
    results = run_benchmark(given)
    assert results.dataset.csv == "standard input"
    assert (tmp_path / "benchmark" / "standard input" / "report.html").is_file()


def test_a_column_of_paths_is_found_by_its_usual_names(options, table, calls):
    pandas.read_csv(table).rename(columns={"name": "img_path"}).to_csv(table, index=False)
    run_benchmark(options())
    assert len(calls) == N


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"csv": "none.csv"}, r"table 'none\.csv' does not exist; a benchmark needs a CSV, TSV, Parquet or JSON lines"),
        (
            {"csv": "memory://rated/none.csv"},
            r"table 'memory://rated/none\.csv' does not exist; a benchmark needs a CSV",
        ),
        ({"csv": "nowhere://none.csv"}, "'nowhere://none.csv' cannot be read: Protocol not known: nowhere"),
        (
            {"mos_column": "rating"},
            r"no column 'rating' of MOS, which a benchmark needs .*Name it with --mos-column\. Col",
        ),
        ({"path_column": "nmae"}, r"no column nmae\. Did you mean 'name'\? Name one with --column"),
        ({"root": "none"}, "'none' is no folder, tar or URL of images; name one with --root"),
        ({"root": "none.tar"}, r"'none\.tar' is no folder, tar or URL of images; name one with --root"),
    ],
)
def test_what_is_not_there_is_said_with_what_is_expected(options, bucket, given, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        run_benchmark(options(**given))


def test_a_correlation_over_four_images_is_refused(options, table):
    pandas.read_csv(table).head(4).to_csv(table, index=False)
    with pytest.raises(ValueError, match="has 4 images: a correlation over fewer than 5 means nothing"):
        run_benchmark(options())


def test_agiqa3k_has_generators_groups_and_both_splits(agiqa3k):
    data = load_data(DatasetChoice(root=str(agiqa3k)))
    assert data.splits == ("official", "prompt-disjoint")
    assert len(data.positions("official")) == 597
    assert {image.columns["generator"] for image in data.images} == {
        "AttnGAN", "DALLE2", "glide", "midjourney", "sd1.5", "xl2.2",
    }  # fmt: skip
    assert data.group_columns == ("generator", "style", "adj1", "adj2")
