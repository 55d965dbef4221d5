"""``--write-metadata`` puts scores into files, ``--read-metadata`` takes them out; pixels and prompts stay."""

import contextlib
import json
import os

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.images.metadata import with_text
from tests.helpers.input_files import make_tar

NAMES = ("a.png", "b.jpg", "c.webp")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("maagiqa_pyiqa.support.reachability.only_reachable", contextlib.nullcontext)
    folder = tmp_path / "pictures"
    folder.mkdir()
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat, masterpiece")
    for number, name in enumerate(NAMES):
        options = {"pnginfo": info} if name == "a.png" else {}
        Image.radial_gradient("L").resize((64 + number, 64)).convert("RGB").save(folder / name, **options)
    return folder


def run(folder, *arguments, verb="score", metric="piqe"):
    words = [verb, folder, "-m", metric, "--workers", "0", "--device", "cpu", "--json", folder.parent / "out.json"]
    code = main([*map(str, [*words, *arguments])])
    content = json.loads((folder.parent / "out.json").read_text())
    rows = content["images"] if verb == "score" else content
    return code, {os.path.basename(row["image"]): row for row in rows}


def pixels(folder):
    return {name: np.asarray(Image.open(folder / name)).tobytes() for name in NAMES}


def test_scores_go_into_files_and_come_back(folder, monkeypatch):
    before = pixels(folder)
    code, written = run(folder, "--write-metadata")
    assert code == 0
    assert pixels(folder) == before
    assert Image.open(folder / "a.png").info["parameters"] == "a cat, masterpiece"
    monkeypatch.setattr("maagiqa_pyiqa.metrics.scoring.create_metrics", lambda *_: pytest.fail("a metric is made"))
    assert run(folder, "--read-metadata") == (0, written)
    assert run(folder.parent / "pictures", "--read-metadata", metric="niqe")[1]["a.png"] == {
        "image": str(folder / "a.png"), "scores": {}, "error": "niqe: no score in the file's metadata",
    }  # fmt: skip


def test_a_second_metric_stands_beside_the_first_and_a_second_run_writes_nothing(folder):
    run(folder, "--write-metadata")
    run(folder, "--write-metadata", metric="entropy")
    record = json.loads(Image.open(folder / "a.png").text["maagiqa"])
    assert list(record) == ["entropy", "piqe"]
    assert record["piqe"]["model"].startswith("piqe, maagiqa_pyiqa ")
    changed = [(folder / name).stat().st_mtime_ns for name in NAMES]
    assert run(folder, "--write-metadata")[0] == 0
    assert [(folder / name).stat().st_mtime_ns for name in NAMES] == changed


def test_what_was_written_is_no_reason_to_score_again(folder, monkeypatch):
    assert run(folder, "--write-metadata", "--keep", folder.parent / "kept")[0] == 0
    monkeypatch.setattr("maagiqa_pyiqa.metrics.scoring._call", lambda *_: pytest.fail("scored again"))
    assert run(folder, "--keep", folder.parent / "kept")[0] == 0


def test_rank_writes_into_what_is_kept_before_it_is_copied(folder):
    assert run(folder, "--top", 1, "--write-metadata", "--copy-to", folder.parent / "best", verb="rank")[0] == 0
    (best,) = [path for path in (folder.parent / "best").iterdir() if path.suffix != ".json"]
    written = [name for name in NAMES if b"maagiqa" in (folder / name).read_bytes()]
    assert [best.name] == [f"001_{name}" for name in written]
    assert best.read_bytes() == (folder / written[0]).read_bytes()


def test_a_file_that_cannot_take_it_is_told_and_stays_and_the_others_are_written(folder, capsys):
    Image.radial_gradient("L").save(folder / "d.bmp")
    before = (folder / "d.bmp").read_bytes()
    assert run(folder, "--write-metadata")[0] == 1
    assert "metadata not written" in (err := capsys.readouterr().err)
    assert "d.bmp: a text can be put into PNG, JPEG and WebP only" in err
    assert (folder / "d.bmp").read_bytes() == before
    assert b"maagiqa" in (folder / "c.webp").read_bytes()


@pytest.mark.parametrize("text", ["no json", "[1]", '{"piqe": 3}', '{"piqe": {"score": true, "model": ""}}', "[" * 9999,
                                  '{"piqe": {"score": 1e999, "model": ""}}'])  # fmt: skip
def test_what_strangers_wrote_is_no_score(folder, text):
    (folder / "a.png").write_bytes(with_text((folder / "a.png").read_bytes(), text))
    code, rows = run(folder, "--read-metadata")
    assert code == 1
    assert rows["a.png"]["scores"] == {}
    assert run(folder, "--write-metadata")[0] == 0
    assert run(folder, "--read-metadata")[0] == 0


def test_a_killed_writer_leaves_the_whole_file_or_the_old_one(folder, monkeypatch):
    before = (folder / "a.png").read_bytes()
    monkeypatch.setattr("maagiqa_pyiqa.support.files.os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["score", str(folder / "a.png"), "-m", "piqe", "--write-metadata", "--workers", "0"]) == 130
    assert (folder / "a.png").read_bytes() == before


@pytest.mark.parametrize("words", [["--write-metadata", "--read-metadata"], ["--write-metadata"]])
def test_what_cannot_be_is_refused_before_the_work(folder, capsys, monkeypatch, words):
    make_tar(folder.parent / "shard.tar", [folder / name for name in NAMES])
    monkeypatch.setattr("maagiqa_pyiqa.cli.score._start", lambda *_: pytest.fail("the work has started"))
    assert main(["score", str(folder.parent / "shard.tar"), "-m", "piqe", *words]) == 2
    assert "leave '--write-metadata' out" in (err := capsys.readouterr().err) or "copy or unpack it first" in err
