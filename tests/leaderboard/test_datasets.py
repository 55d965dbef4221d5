"""What is scored: tables that are whole, and the public datasets."""

import numpy as np
import pandas
import pytest

from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.run import run_benchmark


def test_a_table_that_is_not_whole_is_one_error(options, table, tmp_path):
    rows = pandas.read_csv(table)
    rows.loc[3, "mos"] = np.nan
    pandas.concat([rows, rows.iloc[[1]]]).to_csv(table, index=False)
    (tmp_path / "images" / "picture05.png").unlink()
    with pytest.raises(ValueError, match="3 problems") as error:
        run_benchmark(options())
    for line in ("picture01.png: named more than once", "picture03.png: MOS nan", "picture05.png: no such image"):
        assert line in str(error.value)


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
