"""A training run: checked before it begins, alone in its folder; nothing is left of one that cannot begin."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyiqa.utils import get_env_info, get_root_logger, get_time_str, make_exp_dirs, mkdir_and_rename, set_random_seed
from pyiqa.utils.logger import initialized_logger
from pyiqa.utils.options import dict2str

from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.models.engine import Engine
from maagiqa_pyiqa.models.processes import joined_processes, of_all_processes, of_first_process, rank, world_size
from maagiqa_pyiqa.models.run_options import Run, read_run_options
from maagiqa_pyiqa.models.training_state import read_last_state
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.support.folder_lock import folder_lock
from maagiqa_pyiqa.support.option_files import find_option_file
from maagiqa_pyiqa.support.stopping import set_by_signals

LOGGER = "pyiqa"  # whose engine's parts log to it


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        folder: ``experiments/NAME``.
        step: the last one that was taken.
        total: how many there were to be.
        best: key figure of the best validation, in words.
        figures: of the test with the best weights, by key of ``STATISTICS``; empty where there was none.
        first_process: whether this process is the one that speaks for all.
    """

    folder: Path
    step: int
    total: int
    best: str
    figures: Mapping[str, float]
    first_process: bool = True

    @property
    def complete(self) -> bool:
        """Whether the last step was reached; else Ctrl-C or SIGTERM ended it, with a state to go on from."""
        return self.step == self.total

    @property
    def checkpoint(self) -> Path:
        """The best weights, or the last where no validation chose any."""
        return self.folder / "models" / ("net_best.pth" if self.best else "net_latest.pth")

    def as_text(self) -> str:
        """The last lines of a run."""
        if not self.complete:
            return f"stopped at step {self.step} of {self.total}; the same command with --resume goes on from there."
        lines = [f"best validation: {self.best or 'none'}", f"weights: {self.checkpoint}"]
        if self.figures:
            lines.append("test: " + ", ".join(f"{key} {value:.4f}" for key, value in self.figures.items()))
        return "\n".join(lines)


def train(run: Run) -> Outcome:
    """Train as an option file says; leaves ``experiments/NAME``.

    Raises:
        ValueError: options that make no sense, or a state of other options; nothing is written then.
        FileExistsError: another training runs in the same experiment folder.
        OSError: a file of the run could not be written.
    """
    opt = read_run_options(run)
    with joined_processes(run.launcher, opt["num_gpu"]), contextlib.ExitStack() as stack:
        opt |= {"dist": world_size() > 1, "rank": rank(), "world_size": world_size()}
        opt["manual_seed"] = of_first_process(opt["manual_seed"])
        folder = Path(opt["path"]["experiments_root"])
        if rank() == 0:
            stack.enter_context(folder_lock(folder, "training", beside=True))
            stack.enter_context(_nothing_left_unless_begun(folder))
        stack.enter_context(_unknown_names_as_input_errors())
        state = _prepare_folder(opt, find_option_file(run.option_file))
        stack.enter_context(_logged(opt))
        _say_where_it_begins(opt, state)
        stop = threading.Event()
        stack.enter_context(set_by_signals(stop))
        set_random_seed(opt["manual_seed"] + rank())
        engine = Engine(opt, state, stop)
        figures = engine.run()
        return Outcome(folder, engine.step, engine.total, engine.model.best_so_far(), figures, rank() == 0)


def _prepare_folder(opt: dict[str, Any], option_file: Path) -> dict[str, Any] | None:
    """Find the state to go on from, or make the folders of a new run, with one of the same name set aside.

    Only the first process writes; the others wait for it.
    """
    state, remarks = read_last_state(opt["path"]["training_states"]) if opt["auto_resume"] else (None, [])
    for remark in remarks:
        logging.getLogger(LOGGER).warning(remark)
    of_all_processes(None)  # all have read before the folder is moved
    if state is None:
        make_exp_dirs(opt)
        if rank() == 0 and opt["logger"].get("use_tb_logger"):
            Path(opt["root_path"], "tb_logger_archived").mkdir(exist_ok=True)
            mkdir_and_rename(str(Path(opt["root_path"], "tb_logger", opt["name"])))
    if rank() == 0:
        write_whole(Path(opt["path"]["experiments_root"]) / option_file.name, option_file.read_bytes())
    return state


def _say_where_it_begins(opt: Mapping[str, Any], state: Mapping[str, Any] | None) -> None:
    logger = get_root_logger()
    logger.info(get_env_info())
    logger.info(dict2str(opt))
    if state is not None:
        logger.info(f"Going on from the training state of step {state['iter']}.")
    elif opt["auto_resume"]:
        logger.info("There is no training state to go on from; beginning at the first step.")


@contextlib.contextmanager
def _logged(opt: Mapping[str, Any]) -> Iterator[None]:
    """Let pyiqa's logger write to a file of this run, and to no longer than the run lasts."""
    log = Path(opt["path"]["log"]) / f"train_{opt['name']}_{get_time_str()}.log"
    _close_logger()  # whoever asked for it before this run got one without a file
    get_root_logger(LOGGER, logging.INFO, str(log))
    try:
        yield
    finally:
        _close_logger()


def _close_logger() -> None:
    logger = logging.getLogger(LOGGER)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    initialized_logger.pop(LOGGER, None)


@contextlib.contextmanager
def _unknown_names_as_input_errors() -> Iterator[None]:
    """Turn what pyiqa's registries say of a name they do not know into an error of the user's."""
    try:
        yield
    except KeyError as error:
        message = str(error.args[0]) if error.args else ""
        if message.startswith("No object named"):
            raise InputError(message) from error
        raise


@contextlib.contextmanager
def _nothing_left_unless_begun(folder: Path) -> Iterator[None]:
    """Where a run fails before its model is complete, remove its folder and put back the one that was set aside."""
    before = _inode(folder)
    try:
        yield
    except BaseException:
        begun = (folder / RESOLVED_OPTIONS).is_file()  # the model writes them once it is complete
        if not begun and _inode(folder) != before:
            shutil.rmtree(folder, ignore_errors=True)
            for aside in folder.parent.glob(f"{folder.name}_archived_*"):
                if _inode(aside) == before:
                    aside.rename(folder)
        raise


def _inode(path: Path) -> int | None:
    return os.stat(path).st_ino if path.exists() else None
