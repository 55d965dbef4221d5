"""A public dataset is one row: training, the leaderboard, ``trained_on``, messages and help know it from there."""

import json

import pytest
from pyiqa.data import build_dataset

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.data import public_datasets
from maagiqa_pyiqa.data.public_datasets import PUBLIC_DATASETS, PublicDataset, dataset_of_class
from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.training_data import TrainingData, training_data_of_file
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.register import register
from tests.helpers.places import ROOT
from tests.helpers.public_data import write_dataset

ROW = PublicDataset(
    key="tiny-1k",
    title="Tiny-1k",
    class_name="Tiny1kDataset",
    folder="Tiny-1K",
    csv="scores.csv",
    rows=30,
    name_column="file",
    mos_column="opinion",
    prompt_column="text",
    mos_range=(0.0, 100.0),
    generator=r"[a-z]+",
    source="https://example.org/tiny-1k",
    licence="CC0",
    reference="Nobody et al., 2030",
)


@pytest.fixture
def new_row(monkeypatch):
    monkeypatch.setattr(public_datasets, "PUBLIC_DATASETS", {**PUBLIC_DATASETS, ROW.key: ROW})
    register()
    return ROW


@pytest.fixture
def folder(tmp_path, new_row):
    return write_dataset(tmp_path / "here", new_row)


def section(public, **options):
    return {"type": public.class_name, "name": "some", "phase": "train", **options}


def test_a_new_row_is_trained_on(folder, new_row):
    dataset = build_dataset(section(new_row, root=str(folder)))
    assert type(dataset).__name__ == "Tiny1kDataset"
    assert len(dataset) == 21
    assert dataset.options.mos_range == (0.0, 100.0)


def test_a_new_row_is_benchmarked(folder, new_row):
    data = load_data(DatasetChoice(dataset="tiny-1k", root=str(folder)))
    assert (data.title, data.group_columns, data.mos_range) == ("Tiny-1k", ("generator",), (0.0, 100.0))
    assert {image.columns["generator"] for image in data.images} == {"gan"}
    assert len(data.positions("official")) == 6


def test_a_new_row_is_known_as_training_data(folder, new_row, tmp_path):
    resolved = {"datasets": {"train": section(new_row, split="prompt-disjoint")}}
    (tmp_path / RESOLVED_OPTIONS).write_text(json.dumps(resolved))
    known = training_data_of_file(str(tmp_path / "test_scores.csv"))
    assert known == TrainingData(dataset="tiny-1k", split="prompt-disjoint")


def test_a_new_row_is_in_messages_and_help(new_row, capsys):
    with pytest.raises(ValueError, match=r"dataset must be one of .*'tiny-1k'.* Did you mean 'tiny-1k'"):
        DatasetChoice(dataset="tiny1k")
    with pytest.raises(ValueError, match="'tiny-1k'"):
        TrainingData(dataset="tiny1k")
    with pytest.raises(SystemExit):
        main(["benchmark", "--help"])
    assert "tiny-1k" in capsys.readouterr().out


@pytest.mark.parametrize("public", PUBLIC_DATASETS.values(), ids=PUBLIC_DATASETS)
def test_published_layout_is_read_from_its_folder(public, tmp_path):
    root = write_dataset(tmp_path / "data", public)
    assert len(build_dataset(section(public, root=str(root)))) == 21
    with pytest.warns(UserWarning, match=rf"{public.title} {public.rows:,}"):
        load_data(DatasetChoice(dataset=public.key, root=str(root)))


@pytest.mark.parametrize("public", PUBLIC_DATASETS.values(), ids=PUBLIC_DATASETS)
def test_folder_is_pyiqas_usual_one_unless_named(public, tmp_path, monkeypatch):
    write_dataset(tmp_path / "datasets" / public.folder, public)
    monkeypatch.chdir(tmp_path)
    assert len(build_dataset(section(public))) == 21


@pytest.mark.parametrize("public", PUBLIC_DATASETS.values(), ids=PUBLIC_DATASETS)
def test_absent_dataset_says_in_one_line_where_to_get_it(public, tmp_path):
    root = tmp_path / "nothing"
    for use in (
        lambda: build_dataset(section(public, root=str(root))),
        lambda: load_data(DatasetChoice(dataset=public.key, root=str(root))),
    ):
        with pytest.raises(FileNotFoundError) as error:
            use()
        message = str(error.value)
        assert "\n" not in message
        for words in (public.title, str(root), public.csv, public.source, public.licence, "--data DIR"):
            assert words in message


def test_folder_without_images_is_named(tmp_path, new_row):
    root = write_dataset(tmp_path / "data", new_row)
    (root / "images").rename(root / "pictures")
    with pytest.raises(FileNotFoundError, match=r": images not found\. Get it"):
        build_dataset(section(new_row, root=str(root)))


def test_class_of_no_public_dataset(new_row):
    assert dataset_of_class("CSVQualityDataset") is None
    with pytest.raises(ValueError, match="unknown option 'root'"):
        build_dataset({"type": "CSVQualityDataset", "name": "mine", "root": "x", "dataroot_target": "x"})


@pytest.mark.parametrize("public", PUBLIC_DATASETS.values(), ids=PUBLIC_DATASETS)
def test_the_page_on_data_says_what_the_table_says(public):
    page = (ROOT / "docs" / "data.md").read_text()
    for words in (public.title, public.class_name, public.key, public.csv, public.source, f"{public.rows:,}"):
        assert words in page
