"""Where results go: checked before the work, ``-`` alone on standard output, and one that fails loses no other."""

import argparse
import csv
import io
import json
import os
import subprocess
import sys

import fsspec
import pytest
from PIL import Image
from pyarrow import parquet

from maagiqa_pyiqa.cli import score
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.cli.outputs import write_outputs


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for level in (40, 90, 200):
        Image.linear_gradient("L").point(lambda value, level=level: value * level // 255).save(
            tmp_path / "images" / f"{level}.png"
        )
    return tmp_path


def command(folder, *arguments):
    return ["score", str(folder / "images"), "-m", "entropy", "--workers", "0", "--device", "cpu", *arguments]


def start(folder, *arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "maagiqa_pyiqa.cli.main", *command(folder, *arguments)], **options)


@pytest.mark.parametrize("option", ["--csv", "--json", "--parquet"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(folder, capsys, monkeypatch, option):
    (folder / "file").touch()
    monkeypatch.setattr(score, "start_scoring", lambda *_: pytest.fail("the work has started"))
    for target, reason in ((folder, "is a folder"), (folder / "file" / "out", "cannot be written")):
        assert main(command(folder, option, str(target))) == 2
        assert reason in capsys.readouterr().err


def test_two_outputs_in_one_place_are_refused(folder, capsys):
    assert main(command(folder, "--csv", "-", "--json", "-")) == 2
    assert "two outputs go to '-'" in capsys.readouterr().err


def test_standard_output_holds_nothing_but_the_output(folder, capsys):
    assert main(command(folder, "--json", "-")) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["images"]) == 3
    assert "rank" in err
    assert main(command(folder, "--csv", "-")) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == 3


def test_a_device_is_written_through_and_its_refusal_loses_no_other_output(folder, capsys):
    assert main(command(folder, "--csv", "/dev/full", "--json", str(folder / "a.json"))) == 2
    out, err = capsys.readouterr()
    assert len(json.loads((folder / "a.json").read_text())["images"]) == 3
    assert "entropy" in out  # the table too
    assert "'/dev/full' could not be written: No space left on device. What was to be written is in '" in err
    kept = err.split("is in '")[1].split("'")[0]
    with open(kept) as file:
        assert len(list(csv.DictReader(file))) == 3
    os.unlink(kept)
    assert not os.path.isfile("/dev/full")


def test_every_output_is_tried_and_all_refusals_are_told(tmp_path):
    targets = {"csv": "/dev/full", "json": "/dev/full", "parquet": str(tmp_path / "a.parquet")}
    arguments = argparse.Namespace(standard_output=sys.stdout, **targets)
    with pytest.raises(OSError, match=r"(?s)could not be written.*could not be written"):
        write_outputs(arguments, csv=lambda: "a", json=lambda: "b", parquet=lambda: b"c")
    assert (tmp_path / "a.parquet").read_bytes() == b"c"


def test_an_output_may_be_a_url_or_a_link(folder):
    (folder / "link.csv").symlink_to(folder / "real.csv")
    parts = ("--parquet", "memory://scores.parquet", "--csv", str(folder / "link.csv"))
    assert main(command(folder, *parts)) == 0
    with fsspec.open("memory://scores.parquet", "rb") as file:
        assert parquet.read_table(file).num_rows == 3
    assert (folder / "link.csv").is_symlink()
    assert (folder / "real.csv").read_text().startswith("image,entropy,error")


def test_an_unknown_kind_of_url_is_refused_before_the_work(folder, capsys):
    assert main(command(folder, "--csv", "nowhere://a/b.csv")) == 2
    assert "output 'nowhere://a/b.csv'" in capsys.readouterr().err


def test_a_name_that_is_not_unicode_loses_nothing(folder, capsys):
    name = os.fsdecode(b"caf\xe9\x1b[2J.png")
    Image.linear_gradient("L").save(folder / "images" / name)
    files = [word for kind in ("csv", "json", "parquet") for word in (f"--{kind}", str(folder / f"a.{kind}"))]
    assert main(command(folder, *files)) == 0
    shown = r"caf\udce9\x1b[2J.png"
    assert shown in capsys.readouterr().out
    assert rb"caf\udce9" in (folder / "a.csv").read_bytes()
    assert any(image["image"].endswith(name) for image in json.loads((folder / "a.json").read_text())["images"])
    assert parquet.read_table(folder / "a.parquet").num_rows == 4
    assert main(["score", str(folder / "a.csv"), "-m", "entropy", "--workers", "0"]) == 0  # finds it again


def test_a_reader_that_has_enough_ends_it_quietly_and_files_are_written(folder):
    reading, writing = os.pipe()
    os.close(reading)
    started = start(folder, "--csv", str(folder / "a.csv"), stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    error = started.communicate()[1]
    assert started.returncode == 141
    assert "Traceback" not in error
    assert "Broken" not in error
    assert len((folder / "a.csv").read_text().splitlines()) == 4


def test_an_ascii_locale_shows_every_name(folder):
    Image.linear_gradient("L").save(folder / "images" / "\u754c\u00e9.png")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    started = start(
        folder,
        *("--csv", str(folder / "a.csv")),
        env=os.environ | ascii_only,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, error = started.communicate()
    assert started.returncode == 0, error
    assert out.decode("ascii").count(".png") == 4
