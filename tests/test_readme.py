"""Every command and snippet of README, CONTRIBUTING and pages of reference works, and every file they name is there.

Pages for a task are tested each in its own place: test_task_docs.py, test_docs_*.py, test_own_data.py.
"""

import io
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import fsspec
import pandas
import pytest
import yaml
from PIL import Image

import maagiqa_pyiqa
from maagiqa_pyiqa.cli.main import VERBS, build_parser, main
from maagiqa_pyiqa.support.option_files import find_option_file
from tests.helpers.answer_folders import write_answers
from tests.helpers.benchmark_runs import draw
from tests.helpers.chat_server import serving
from tests.helpers.places import ROOT, SAMPLE

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
REFERENCE = [
    (ROOT / "docs" / f"{page}.md").read_text() for page in ("commands", "metrics", "semantics", "train", "benchmark")
]
SCORE = (ROOT / "docs" / "score.md").read_text()


def blocks(language, *more):
    text = "\n".join([README, CONTRIBUTING, *REFERENCE, *more])
    return list(dict.fromkeys(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)))


def commands(program):
    """Command lines of a program, without their remarks."""
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in dict.fromkeys(map(single_spaced, lines)) if line.split()[:1] == [program]]


def single_spaced(line):
    return " ".join(line.split())


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Folders with the pictures the README speaks of."""
    for folder in ("pictures", "before", "after"):
        (tmp_path / folder).mkdir()
    for name in ("image.png", "pictures/a.png", "pictures/b.png", "before/1.png", "after/1.png"):
        Image.linear_gradient("L").resize((96, 96)).convert("RGB").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python", SCORE))
def test_python_snippets_run(workplace, code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=workplace)
    assert done.returncode == 0, done.stderr


# a server goes on until it is stopped: test_docs_serve.py
TO_RUN = [line for line in commands("maagiqa") if " -opt " not in line and not line.startswith("maagiqa serve")]


@pytest.mark.parametrize("line", TO_RUN)
def test_maagiqa_commands_run(workplace, checkpoint, monkeypatch, line):
    (workplace / "DIR").symlink_to(checkpoint)  # a small model in the published format
    if " cache " in line:
        assert main(["extract", "pictures/", "--cache", "features", "--extractor", "visual"]) == 0
    if " ask " in line:
        pytest.importorskip("openai", reason="asking an endpoint needs openai")
        with serving() as server:
            assert main(shlex.split(line.replace("http://localhost:8000/v1", server.url))[1:]) == 0
        return
    if "maagiqa answers " in line:
        write_answers(workplace / "answers", ["pictures"])
    if "--mos-column rating" in line:
        write_ratings(workplace)
        line, _, ratings = line.replace("s3://", "memory://").partition(" < ")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(ratings or "mine.csv").read_bytes())))
    if "AGIQA-3K" in line:
        line = line.replace("AGIQA-3K", str(SAMPLE))
    if "doctor" in line:
        # in a process of its own, as users run it: a hub client that is loaded already would retry for a minute
        done = subprocess.run(
            [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "doctor"], capture_output=True, text=True
        )
        # 1 where a metric's weights are out of reach, which is its finding and no failure
        assert done.returncode in (0, 1), done.stderr
        assert "maagiqa-lite" in done.stdout
    else:
        assert main(shlex.split(line)[1:]) == 0


def write_ratings(folder):
    """Five pictures with ratings, in a folder, a tar and a bucket in memory."""
    table = pandas.DataFrame({"name": [f"{i}.png" for i in range(5)], "rating": [1, 2, 3, 4, 5]})
    memory = fsspec.filesystem("memory")
    with tarfile.open(folder / "shard.tar", "w") as tar:
        for seed, name in enumerate(table["name"]):
            draw(folder / "pictures" / name, 0.2 + 0.1 * seed, seed, side=96)
            tar.add(folder / "pictures" / name, name)
            memory.pipe_file(f"/bucket/{name}", (folder / "pictures" / name).read_bytes())
    table.to_csv(folder / "mine.csv", index=False)
    memory.pipe_file("/bucket/mine.parquet", table.to_parquet())


@pytest.mark.parametrize("line", [line for line in commands("maagiqa") if " -opt " in line])
def test_commands_with_options_name_a_file_that_exists(line):
    arguments, _ = build_parser().parse_known_args(shlex.split(line)[1:])
    assert find_option_file(arguments.opt).is_file()


@pytest.mark.parametrize("line", commands("make"))
def test_make_targets_exist(line):
    done = subprocess.run([*shlex.split(line), "--dry-run"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", commands("python"))
def test_scripts_exist_and_explain_themselves(line):
    words = shlex.split(line)
    program = words[1:3] if words[1] == "-m" else words[1:2]
    done = subprocess.run([sys.executable, *program, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    options = [word for word in words[1:] if word.startswith("--")]
    assert [option for option in options if option not in done.stdout] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_readme(verb):
    assert f"maagiqa {verb}" in README


DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "tests/golden/README.md",
    "tests/data/agiqa_3k/README.md",
    *DOCS,
]


def links_of(page):
    return re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page):
    links = links_of(page)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_page_is_on_the_map():
    assert set(DOCS) <= set(links_of("README.md"))


def test_the_readme_is_one_screen():
    assert len(README.splitlines()) <= 70


def test_files_that_contributing_names_exist_and_hold_what_it_says():
    places = re.findall(r"`((?:maagiqa_pyiqa|tests)/[\w/.]+)`", CONTRIBUTING)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []
    tables = re.findall(r"`([A-Z]{4,})`(?: (?:in|of)\s+`([\w/]+\.py)`)", CONTRIBUTING)
    assert len(tables) > 3
    for table, place in tables:
        assert re.search(rf"^{table}\b.*=", (ROOT / place).read_text(), re.MULTILINE), (table, place)


@pytest.mark.parametrize("line", commands(".venv/bin/python"))
def test_single_tests_can_be_run_as_contributing_says(line):
    words = shlex.split(line)[1:]
    done = subprocess.run([sys.executable, *words, "--collect-only", "-q"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == maagiqa_pyiqa.__version__
    assert f"## {maagiqa_pyiqa.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
