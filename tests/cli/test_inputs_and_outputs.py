"""Every cell of verb x kind of input x kind of output: the same images in, the same images out."""

import contextlib
import csv
import io
import json
import sys

import fsspec
import pandas
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
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
    "compare": ["-m", "entropy", "--workers", "0", "--device", "cpu"],
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
    frame.to_csv(folder / "list.tsv", index=False, sep="\t")
    frame.to_csv(folder.parent / "elsewhere.csv", index=False)
    frame.to_parquet(folder / "list.parquet")
    frame.to_json(folder / "list.jsonl", orient="records", lines=True)
    make_tar(folder.parent / "shard.tar", [folder / name for name in NAMES])
    frame.assign(file=[f"shard/{name}" for name in NAMES]).to_csv(folder.parent / "members.csv", index=False)
    urls = [f"memory://cells/{name}" for name in NAMES]
    frame.assign(file=urls).to_csv(folder.parent / "urls.csv", index=False)
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe_file(f"/cells/{path.name}", path.read_bytes())
    memory.pipe_file("/cells-tars/shard.tar", (folder.parent / "shard.tar").read_bytes())
    whole = frame.assign(file=[str(folder / name) for name in NAMES])
    yield {
        "files": ([str(folder / name) for name in NAMES], ""),
        "folder": ([str(folder)], ""),
        "glob": ([f"{folder}/[0-9].*"], ""),
        "csv": ([str(folder / "list.csv")], ""),
        "parquet": ([str(folder / "list.parquet")], ""),
        "jsonl": ([str(folder / "list.jsonl")], ""),
        "tsv": ([str(folder / "list.tsv")], ""),
        "csv with a root": ([str(folder.parent / "elsewhere.csv"), "--root", str(folder)], ""),
        "csv with the url of a root": ([str(folder.parent / "elsewhere.csv"), "--root", "memory://cells"], ""),
        "csv with a tar as root": (
            [str(folder.parent / "members.csv"), "--root", str(folder.parent / "shard.tar")],
            "",
        ),
        "csv with the url of a tar as root": (
            [str(folder.parent / "members.csv"), "--root", "memory://cells-tars/shard.tar"],
            "",
        ),
        "csv of urls": ([str(folder.parent / "urls.csv")], ""),
        "tar": ([str(folder.parent / "shard.tar")], ""),
        "url of a folder": (["memory://cells"], ""),
        "url of a glob": (["memory://cells/[0-9].*"], ""),
        "urls of images": (urls, ""),
        "url of a list": (["memory://cells/list.csv"], ""),
        "url of a tar": (["memory://cells-tars/shard.tar"], ""),
        "names on standard input": (["-"], "".join(f"{folder / name}\n" for name in NAMES)),
        "names ended by zeros": (["-"], "".join(f"{folder / name}\0" for name in NAMES)),
        "a folder on standard input": (["-"], f"{folder}\n"),
        "json on standard input": (["-"], whole.to_json(orient="records", lines=True)),
        "url of a jsonl": (["memory://cells/list.jsonl"], ""),
        "url of a parquet": (["memory://cells/list.parquet"], ""),
        "url of a tsv": (["memory://cells/list.tsv"], ""),
        "csv on standard input": (["-"], whole.to_csv(index=False)),
        "tsv on standard input": (["-"], whole.to_csv(index=False, sep="\t")),
        "parquet on standard input": (["-"], whole.to_parquet()),
        "csv on standard input with a root": (["-", "--root", str(folder)], frame.to_csv(index=False)),
        "csv on standard input with the url of a root": (["-", "--root", "memory://cells"], frame.to_csv(index=False)),
    }
    memory.store.clear()


KINDS = [
    "files", "folder", "glob", "csv", "parquet", "jsonl", "tsv", "csv with a root", "csv with the url of a root",
    "csv with a tar as root", "csv with the url of a tar as root", "csv of urls", "tar", "url of a folder",
    "url of a glob", "urls of images", "url of a list", "url of a tar", "names on standard input",
    "names ended by zeros", "a folder on standard input", "json on standard input",
]  # fmt: skip
RATINGS = [
    "csv", "parquet", "jsonl", "tsv", "csv with a root", "csv with the url of a root", "csv with a tar as root",
    "csv with the url of a tar as root", "csv of urls", "url of a list", "url of a jsonl", "url of a parquet",
    "url of a tsv", "json on standard input", "csv on standard input", "tsv on standard input",
    "parquet on standard input", "csv on standard input with a root", "csv on standard input with the url of a root",
]  # fmt: skip
NOT_ONE_WORD = ("files", "urls of images")
FORMATS = ("csv", "json", "jsonl", "parquet")


@pytest.fixture
def run(places, monkeypatch, capfdbinary):
    def run(verb, kind, *words):
        inputs, text = places[kind]
        if verb == "benchmark" and kind in NOT_ONE_WORD:
            inputs = inputs[:1]
        if verb == "compare":
            inputs = [*places["folder"][0], *inputs]
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode()))
        )
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
        rows = rows["images"] if verb == "score" else rows["comparisons"][0]["pairs"] if verb == "compare" else rows
    if verb == "compare":
        return {row["key" if output == "json" else "pair"] for row in rows}, rows
    return {row["image"].rsplit("/", 1)[1] for row in rows}, rows


def in_every_format(folder, outputs):
    """Options that write all outputs of one run."""
    return [word for output in outputs for word in (f"--{output}", folder / output)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["score", "rank"])
def test_scores_of_every_kind_of_input_come_out_in_every_format(run, tmp_path, verb, kind):
    assert run(verb, kind, *in_every_format(tmp_path, FORMATS), "--quiet")[0] == 0
    for output in FORMATS:
        names, rows = read(verb, output, (tmp_path / output).read_bytes())
        assert names == set(NAMES), output
        assert len(rows) == len(NAMES), output


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


@pytest.mark.parametrize(("kind", "output"), [*((kind, "a file") for kind in KINDS), ("folder", "standard output")])
def test_features_of_every_kind_of_input_are_extracted(run, tmp_path, kind, output):
    target = tmp_path / "out.json" if output == "a file" else "-"
    code, streams = run("extract", kind, "--json", target, "--cache", tmp_path / "cache")
    assert code == 0
    became = json.loads(target.read_bytes() if output == "a file" else streams.out)
    assert (became["extracted"], became["failures"]) == (len(NAMES), [])


def test_what_became_of_images_goes_to_a_url(run, tmp_path):
    assert run("extract", "folder", "--json", "memory://cells-out/became", "--cache", tmp_path / "cache")[0] == 0
    assert json.loads(fsspec.open("memory://cells-out/became").open().read())["extracted"] == len(NAMES)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_ONE_WORD])
def test_images_of_every_kind_of_input_are_compared_in_every_format(run, tmp_path, kind):
    outputs = [output for output in FORMATS if output != "jsonl"]
    assert run("compare", kind, *in_every_format(tmp_path, outputs))[0] == 0
    for output in outputs:
        keys, rows = read("compare", output, (tmp_path / output).read_bytes())
        assert keys == {name.split(".")[0] for name in NAMES}, output  # each has found itself
        assert [float(row["difference"]) for row in rows] == [0] * len(NAMES), output


@pytest.mark.parametrize("to", ["standard output", "a url"])
@pytest.mark.parametrize("output", ["csv", "json", "parquet"])
def test_a_comparison_goes_everywhere(run, output, to):
    target = {"standard output": "-", "a url": f"memory://cells-out/{output}"}[to]
    code, streams = run("compare", "folder", f"--{output}", target)
    assert code == 0
    content = streams.out if target == "-" else fsspec.open(target).open().read()
    assert len(read("compare", output, content)[1]) == len(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_every_kind_of_input_are_described_in_every_format(run, tmp_path, kind):
    assert run("describe", kind, *in_every_format(tmp_path, FORMATS))[0] == 0
    for output in FORMATS:
        names, rows = read("describe", output, (tmp_path / output).read_bytes())
        assert names == set(NAMES), output
        answers = {(row["answers"] if output.startswith("json") else row)["coherence"] for row in rows}
        assert len(answers) == len(NAMES), output


@pytest.mark.parametrize("output", ["csv", "json", "jsonl", "parquet"])
def test_words_go_to_standard_output(run, output):
    code, streams = run("describe", "folder", f"--{output}", "-")
    assert code == 0
    assert read("describe", output, streams.out)[0] == set(NAMES)


@pytest.mark.parametrize("output", ["csv", "json", "parquet"])
def test_words_go_to_a_url(run, output):
    assert run("describe", "folder", f"--{output}", f"memory://cells-out/{output}")[0] == 0
    assert read("describe", output, fsspec.open(f"memory://cells-out/{output}").open().read())[0] == set(NAMES)


@pytest.mark.parametrize("kind", RATINGS)
def test_a_benchmark_takes_ratings_and_images_from_everywhere(run, tmp_path, kind):
    code, streams = run("benchmark", kind, "--out", tmp_path)
    assert code == 0, streams.err
    results = json.loads((tmp_path / "results.json").read_text())
    assert {image["name"].rsplit("/", 1)[-1]: image["mos"] for image in results["images"]} == dict(
        zip(NAMES, TABLE["mos"], strict=True)
    )
    assert all(set(image["scores"]) == {"entropy"} for image in results["images"])
    assert (tmp_path / "scores.sqlite").is_file()


@pytest.mark.parametrize("kind", [kind for kind in RATINGS if kind != "csv"])
def test_a_benchmark_keeps_scores_by_content_wherever_images_come_from(run, tmp_path, monkeypatch, kind):
    assert run("benchmark", "csv", "--out", tmp_path / "first", "--keep", tmp_path)[0] == 0
    monkeypatch.setattr("maagiqa_pyiqa.metrics.scoring._call", lambda *_: pytest.fail("scored again"))
    assert run("benchmark", kind, "--out", tmp_path / "second", "--keep", tmp_path)[0] == 0
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("first", "second"))
    assert [image["scores"] for image in first["images"]] == [image["scores"] for image in second["images"]]
    assert first["dataset"]["images_sha256"] == second["dataset"]["images_sha256"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in RATINGS])
def test_a_benchmark_says_that_it_needs_ratings(run, tmp_path, kind):
    code, streams = run("benchmark", kind, "--out", tmp_path)
    reasons = {
        "names on standard input": b"'standard input' has no column file",
        "names ended by zeros": b"holds zero bytes",
        "a folder on standard input": b"'standard input' has no column file",
    }
    assert code == 2
    assert reasons.get(kind, b"needs the MOS of each image") in streams.err


@pytest.mark.parametrize("kind", ["folder", "tar", "url of a tar", "url of a list"])
def test_what_is_kept_of_any_kind_of_input_is_not_scored_again(run, tmp_path, monkeypatch, kind):
    assert run("score", kind, "--keep", tmp_path, "--json", tmp_path / "first")[0] == 0
    monkeypatch.setattr("maagiqa_pyiqa.metrics.scoring._call", lambda *_: pytest.fail("scored again"))
    assert run("score", kind, "--keep", tmp_path, "--json", tmp_path / "second")[0] == 0
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Weights whose scores are 10 less twice those of the package."""
    path = tmp_path_factory.mktemp("weights") / "own.pth"
    torch.save({"params": MAAGIQA(pretrained="lite", rescale=(-2.0, 10.0)).state_dict()}, path)
    return path


def scores_by(run, verb, tmp_path, label, *words):
    """The score of each image by a metric that is called so."""
    out = ["--out", tmp_path / "out"] if verb == "benchmark" else ["--json", tmp_path / "out.json"]
    code, streams = run(verb, "csv", *words, *out)
    assert code == 0, streams.err
    if verb == "benchmark":
        images = json.loads((tmp_path / "out" / "results.json").read_text())["images"]
        return {image["name"].split(".")[0]: image["scores"][label] for image in images}
    rows = read(verb, "json", (tmp_path / "out.json").read_bytes())[1]
    if verb == "compare":
        assert json.loads((tmp_path / "out.json").read_bytes())["comparisons"][0]["metric"] == label
        return {row["key"]: row["mean_b"] for row in rows}
    if verb == "rank":
        assert f"{label} \u2191" in streams.out.decode()
    score = {"score": lambda row: row["scores"][label], "rank": lambda row: row["score"]}[verb]
    return {row["image"].rsplit("/", 1)[1].split(".")[0]: score(row) for row in rows}


@pytest.mark.parametrize("form", ["NAME=CHECKPOINT", "LABEL=NAME=CHECKPOINT"])
@pytest.mark.parametrize("verb", ["score", "rank", "compare", "benchmark"])
def test_checkpoints_are_named_alike(run, tmp_path, monkeypatch, checkpoint, verb, form):
    own = form.replace("NAME", "maagiqa-lite").replace("CHECKPOINT", str(checkpoint)).replace("LABEL", "mine")
    label = "mine" if form.startswith("LABEL") else own
    monkeypatch.setitem(OWN, verb, [word for word in OWN[verb] if word not in ("-m", "entropy")])
    published = scores_by(run, verb, tmp_path, "maagiqa-lite", "-m", "maagiqa-lite")
    scores = scores_by(run, verb, tmp_path, label, "-m", own)
    assert scores == pytest.approx({name: 10 - 2 * score for name, score in published.items()}, abs=1e-4)
    assert len(scores) == len(NAMES)


@pytest.mark.parametrize("verb", ["score", "rank", "compare", "benchmark"])
def test_semantic_features_come_from_where_is_said(run, tmp_path, monkeypatch, verb):
    options = {"type": "MAAGIQA", "pretrained": "lite-2026a", "semantics": "mplug-owl2"}  # which would be fetched
    monkeypatch.setitem(DEFAULT_CONFIGS["maagiqa"], "metric_opts", options)
    monkeypatch.setitem(OWN, verb, [word for word in OWN[verb] if word not in ("-m", "entropy")])
    cache = tmp_path / "features"
    assert run("extract", "csv", "--semantics", "visual", "--cache", cache)[0] == 0
    words = ["-m", "maagiqa", "--semantics"]
    computed = scores_by(run, verb, tmp_path, "maagiqa", *words, "visual")
    kept = scores_by(run, verb, tmp_path, "maagiqa", *words, f"cache:{cache}")
    assert kept == pytest.approx(computed, abs=2e-3)  # kept in half precision
    assert len(kept) == len(NAMES)


@pytest.mark.parametrize(
    ("option", "verbs"),
    [
        (["--device", "cpu"], {"score", "rank", "compare", "benchmark", "extract", "describe"}),
        (["--batch-size", "2"], {"score", "rank", "compare", "benchmark", "extract"}),
        (["--workers", "1"], {"score", "rank", "compare", "benchmark", "extract"}),
        (["--keep", "kept"], {"score", "rank", "compare", "benchmark"}),
    ],
)
def test_how_it_is_done_is_said_alike(run, tmp_path, monkeypatch, option, verbs):
    monkeypatch.chdir(tmp_path)
    for verb in sorted(verbs):
        assert run(verb, "csv", *option, *(["--out", "out"] if verb == "benchmark" else []))[0] == 0


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
