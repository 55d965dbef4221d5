"""Every cell of verb x kind of input x kind of output: the same images in, the same images out."""

import contextlib
import csv
import io
import json
import sys

import fsspec
import pandas
import pytest
from PIL import Image
from pyarrow import parquet

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics import extractor
from maagiqa_pyiqa.semantics.extractor import Backend
from tests.helpers.fake_extractor import BACKENDS, FakeExtractorOfSpec, spec
from tests.helpers.input_files import make_tar

NAMES = ["0.png", "1.jpg", "2.webp", "3.png", "4.png"]
TABLE = {"file": NAMES, "mos": [0.0, 1.0, 2.0, 3.0, 4.0], "style": ["ink", "oil", "ink", "oil", "ink"]}
OWN = {
    "score": ["-m", "entropy", "--workers", "0", "--device", "cpu"],
    "rank": ["-m", "entropy", "--workers", "0", "--device", "cpu"],
    "extract": ["--semantics", spec(), "--cache", "memory://cells-cache"],
    "describe": ["--semantics", "talker:{}"],
    "benchmark": ["-m", "entropy", "--mos-column", "mos", "--column", "file", "--workers", "0"],
}


class Talker(FakeExtractorOfSpec):
    """A fake extractor with words."""

    def __init__(self, *arguments, words=False, **options):
        super().__init__(*arguments, **options)

    def describe(self, image, prompt, limit=128):
        yield f"{prompt} of {self._prepare(image):.3f}"


@pytest.fixture(autouse=True)
def backends(monkeypatch):
    """Extractors that need nothing; no metric here fetches anything, so no host is asked for."""
    monkeypatch.setattr("maagiqa_pyiqa.support.reachability.only_reachable", contextlib.nullcontext)
    talker = Backend("talker", f"{__name__}:Talker", "required", "JSON", describes=True)
    monkeypatch.setattr(extractor, "BACKENDS", {**BACKENDS, talker.name: talker})


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Words that name the five images, by kind of input, and what is to stand on standard input."""
    folder = tmp_path_factory.mktemp("cells") / "images"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.radial_gradient("L").resize((48 + 8 * number, 48)).convert("RGB").save(folder / name)
    frame = pandas.DataFrame(TABLE)
    frame.to_csv(folder / "list.csv", index=False)
    frame.to_parquet(folder / "list.parquet")
    frame.to_json(folder / "list.jsonl", orient="records", lines=True)
    make_tar(folder.parent / "shard.tar", [folder / name for name in NAMES])
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe_file(f"/cells/{path.name}", path.read_bytes())
    memory.pipe_file("/cells-tars/shard.tar", (folder.parent / "shard.tar").read_bytes())
    lines = "".join(json.dumps({"file": str(folder / name)}) + "\n" for name in NAMES)
    yield {
        "files": ([str(folder / name) for name in NAMES], ""),
        "folder": ([str(folder)], ""),
        "glob": ([f"{folder}/[0-9].*"], ""),
        "csv": ([str(folder / "list.csv")], ""),
        "parquet": ([str(folder / "list.parquet")], ""),
        "jsonl": ([str(folder / "list.jsonl")], ""),
        "tar": ([str(folder.parent / "shard.tar")], ""),
        "url of a folder": (["memory://cells"], ""),
        "url of a list": (["memory://cells/list.csv"], ""),
        "url of a tar": (["memory://cells-tars/shard.tar"], ""),
        "names on standard input": (["-"], "".join(f"{folder / name}\n" for name in NAMES)),
        "names ended by zeros": (["-"], "".join(f"{folder / name}\0" for name in NAMES)),
        "a folder on standard input": (["-"], f"{folder}\n"),
        "json on standard input": (["-"], lines),
    }
    memory.store.clear()


KINDS = [
    "files", "folder", "glob", "csv", "parquet", "jsonl", "tar", "url of a folder", "url of a list", "url of a tar",
    "names on standard input", "names ended by zeros", "a folder on standard input", "json on standard input",
]  # fmt: skip
LISTS = ("csv", "parquet", "jsonl")


@pytest.fixture
def run(places, monkeypatch, capfdbinary):
    def run(verb, kind, *words):
        inputs, text = places[kind]
        if verb == "benchmark" and len(inputs) > 1:
            inputs = inputs[:1]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        column = ["--column", "file"] if verb != "benchmark" else []
        code = main([verb, *inputs, *column, *OWN[verb], *map(str, words)])
        return code, capfdbinary.readouterr()

    return run


def read(verb, output, content):
    """Names of the images that an output holds, and one value for each."""
    if output == "csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
    elif output == "jsonl":
        rows = [json.loads(line) for line in content.splitlines()]
    elif output == "parquet":
        rows = parquet.read_table(io.BytesIO(content)).to_pylist()
    else:
        rows = json.loads(content)
        rows = rows["images"] if verb == "score" else rows
    return {row["image"].rsplit("/", 1)[1] for row in rows}, rows


@pytest.mark.parametrize("output", ["csv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["score", "rank"])
def test_scores_of_every_kind_of_input_come_out_in_every_format(run, tmp_path, verb, kind, output):
    assert run(verb, kind, f"--{output}", tmp_path / "out", "--quiet")[0] == 0
    names, rows = read(verb, output, (tmp_path / "out").read_bytes())
    assert names == set(NAMES)
    assert len(rows) == len(NAMES)


@pytest.mark.parametrize("to", ["standard output", "a url"])
@pytest.mark.parametrize("output", ["csv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("verb", ["score", "rank"])
def test_every_format_goes_everywhere(run, verb, output, to):
    target = {"standard output": "-", "a url": f"memory://cells-out/{output}"}[to]
    code, streams = run(verb, "folder", f"--{output}", target, "--quiet")
    if output == "jsonl" and to == "a url":
        assert code == 2
        assert b"it grows while it works, so name a file or -" in streams.err
        return
    assert code == 0
    content = streams.out if target == "-" else fsspec.open(target).open().read()
    names, rows = read(verb, output, content)
    assert names == set(NAMES)
    assert len(rows) == len(NAMES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["a file", "standard output"])
def test_features_of_every_kind_of_input_are_extracted(run, tmp_path, kind, output):
    target = tmp_path / "out.json" if output == "a file" else "-"
    code, streams = run("extract", kind, "--json", target, "--cache", tmp_path / "cache")
    assert code == 0
    became = json.loads(target.read_bytes() if output == "a file" else streams.out)
    assert (became["extracted"], became["failures"]) == (len(NAMES), [])


@pytest.mark.parametrize("output", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("kind", KINDS)
def test_images_of_every_kind_of_input_are_described_in_every_format(run, tmp_path, kind, output):
    assert run("describe", kind, f"--{output}", tmp_path / "out")[0] == 0
    names, rows = read("describe", output, (tmp_path / "out").read_bytes())
    assert names == set(NAMES)
    assert len({(row if output == "csv" else row["answers"])["coherence"] for row in rows}) == len(NAMES)


@pytest.mark.parametrize("output", ["csv", "json", "jsonl"])
def test_words_go_to_standard_output(run, output):
    code, streams = run("describe", "folder", f"--{output}", "-")
    assert code == 0
    assert read("describe", output, streams.out)[0] == set(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_benchmark_takes_lists_and_says_that_it_needs_ratings(run, tmp_path, kind):
    code, streams = run("benchmark", kind, "--out", tmp_path)
    if kind in LISTS:
        assert code == 0
        results = json.loads((tmp_path / "results.json").read_text())
        assert {image["name"] for image in results["images"]} == set(NAMES)
        assert (tmp_path / "scores.sqlite").is_file()
    else:
        assert code == 2
        assert b"needs the MOS of each image" in streams.err


@pytest.mark.parametrize("kind", ["folder", "tar", "url of a tar", "url of a list"])
def test_what_is_kept_of_any_kind_of_input_is_not_scored_again(run, tmp_path, monkeypatch, kind):
    assert run("score", kind, "--keep", tmp_path, "--json", tmp_path / "first")[0] == 0
    monkeypatch.setattr("maagiqa_pyiqa.metrics.scoring._call", lambda *_: pytest.fail("scored again"))
    assert run("score", kind, "--keep", tmp_path, "--json", tmp_path / "second")[0] == 0
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()


@pytest.mark.parametrize("verb", ["score", "rank", "benchmark"])
def test_semantic_features_for_a_metric_that_takes_none_are_refused(run, verb, tmp_path):
    code, streams = run(verb, "csv", "--semantics", "visual", *(["--out", tmp_path] if verb == "benchmark" else []))
    assert code == 2
    assert b"no semantic features go into entropy" in streams.err


@pytest.mark.parametrize("verb", ["score", "rank"])
def test_a_gallery_of_images_that_are_no_files_is_refused_before_the_work(run, verb, tmp_path):
    code, streams = run(verb, "tar", "--gallery", tmp_path / "a.html")
    assert code == 2
    assert b"is not a file on this machine; copy or unpack it first" in streams.err
