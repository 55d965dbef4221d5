"""Files that are moved: never over another, and finished or taken back after a stop at any moment."""

import contextlib
import errno
import itertools
import os

import pytest

from maagiqa_pyiqa.support import moves
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import ASIDE_SUFFIX
from maagiqa_pyiqa.support.moves import Move, finish, read_moves, undo, write_moves

NAMES = ["a.png", "=1+1.png", "caf\udce9.png", "line\nbreak.png", "'=quoted.png"]


@pytest.fixture
def plan(tmp_path):
    """Files and where they are to go."""
    (tmp_path / "old").mkdir()
    for name in NAMES:
        (tmp_path / "old" / name).write_text(name.encode("utf-8", "backslashreplace").decode())
    return [Move(tmp_path / "old" / name, tmp_path / "new" / f"1_{name}", "piqe 3.0") for name in NAMES]


def places(plan):
    return [
        "both" if a.exists() and b.exists() else "old" if a.exists() else "new" if b.exists() else "gone"
        for a, b, _ in plan
    ]


@pytest.fixture(params=["links", "no links", "another file system"])
def file_system(request, monkeypatch):
    """With hard links, without, and where the other place is on another one."""
    real = os.link

    def link(source, target, **options):
        if request.param == "no links" or os.path.dirname(source) != os.path.dirname(target):
            raise OSError(errno.EXDEV, "no link")
        real(source, target, **options)

    if request.param != "links":
        monkeypatch.setattr(os, "link", link)


def test_files_go_and_come_back_by_the_list(plan, tmp_path, file_system):
    before = {move.source: (move.source.read_bytes(), move.source.stat().st_mtime_ns) for move in plan}
    write_moves(tmp_path / "moves.csv", plan)
    read = read_moves(tmp_path / "moves.csv")
    assert read == plan
    assert finish(read) == []
    assert places(plan) == ["new"] * len(NAMES)
    assert finish(read) == []
    assert undo(read) == []
    assert undo(read) == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert os.listdir(tmp_path / "new") == []


def test_no_file_is_written_over_on_either_way(plan, tmp_path, file_system):
    (tmp_path / "new").mkdir()
    plan[0].target.write_text("somebody else's")
    problems = finish(plan)
    assert problems == [f"'{plan[0].target}' is another file, so '{plan[0].source}' stays where it is"]
    assert plan[0].target.read_text() == "somebody else's"
    plan[1].source.write_text("a new one")
    plan[0].target.unlink()
    assert len(undo(plan)) == 1
    assert plan[1].source.read_text() == "a new one"
    assert plan[1].target.exists()


@pytest.mark.parametrize("way", [finish, undo])
@pytest.mark.parametrize("stop", range(14))
def test_a_run_that_is_killed_at_any_call_is_finished_or_undone(plan, monkeypatch, file_system, stop, way):
    class Killed(BaseException):
        pass

    calls = itertools.count()

    def killing(function):
        def call(*arguments, **options):
            if next(calls) == stop:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((os, "link"), (moves.Path, "unlink"), (moves.shutil, "copy2"), (moves.Path, "rename")):
            patch.setattr(owner, name, killing(getattr(owner, name)))
        with contextlib.suppress(Killed):
            finish(plan)
    assert "gone" not in places(plan)
    assert way(plan) == []
    assert places(plan) == ["new" if way is finish else "old"] * len(NAMES)


def test_what_is_gone_is_said_and_the_others_go(plan):
    plan[0].source.unlink()
    assert finish(plan) == [f"'{plan[0].source}' is gone"]
    assert places(plan)[1:] == ["new"] * (len(NAMES) - 1)


@pytest.mark.parametrize("way", [finish, undo])
def test_parts_of_copies_that_a_killed_run_left_are_removed_and_nothing_else(plan, tmp_path, way):
    (tmp_path / "new").mkdir()
    for place in ("old", "new"):
        for name in (
            ".a.png.0123456789abcdef",
            ".1_a.png.0123456789abcdef",
            ".other.png.0123456789abcdef",
            ".1_a.png.x",
        ):
            (tmp_path / place / f"{name}{ASIDE_SUFFIX}").touch()
    assert way(plan) == []
    hidden = {place: {path.name for path in (tmp_path / place).glob(".*")} for place in ("old", "new")}
    others = {f".other.png.0123456789abcdef{ASIDE_SUFFIX}", f".1_a.png.x{ASIDE_SUFFIX}"}
    assert hidden["old"] == others | {f".1_a.png.0123456789abcdef{ASIDE_SUFFIX}"}
    assert hidden["new"] == others | {f".a.png.0123456789abcdef{ASIDE_SUFFIX}"}


@pytest.mark.parametrize("content", ["name,score\na,1\n", "from,to,reason\na.png,b.png,x\n"])
def test_what_is_no_list_of_moves_moves_nothing(tmp_path, content):
    (tmp_path / "moves.csv").write_text(content)
    with pytest.raises(InputError, match="is no list of moves"):
        read_moves(tmp_path / "moves.csv")
