"""The authors' weights from their host, converted once and kept."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from maagiqa_pyiqa.archs.checkpoints.read import read_state_dict, save_checkpoint
from maagiqa_pyiqa.support.reachability import require_reachable

OFFICIAL_DRIVE_ID = "1YT9Fryok-ozYPIvT1V3gEnEF-Ij3UxPp"
OFFICIAL_FILE = "maagiqa_agiqa3k_official.safetensors"


def weights_folder() -> Path:
    """Folder where pyiqa keeps its downloads, and we ours."""
    from pyiqa.utils.download_util import DEFAULT_CACHE_DIR

    return Path(DEFAULT_CACHE_DIR)


def fetch_official() -> Path:
    """Return the authors' AGIQA-3k weights as our safetensors, fetching and converting them on first use.

    Raises:
        ImportError: gdown is not installed; names the extra.
        ConnectionError: the host cannot be reached (found within 10 s) or sends something else; says what to do.
    """
    target = weights_folder() / OFFICIAL_FILE
    if target.is_file():
        return target
    by_hand = (
        f"Fetch https://drive.google.com/file/d/{OFFICIAL_DRIVE_ID} by hand and pass pretrained_model_path=FILE; "
        "or use metric 'maagiqa-lite', which needs no download."
    )
    if importlib.util.find_spec("gdown") is None:
        raise ImportError(
            f"Fetching the authors' weights needs gdown: pip install 'maagiqa_pyiqa[download]'. {by_hand}"
        )
    require_reachable("drive.google.com", by_hand)
    download = target.with_name(f".{OFFICIAL_FILE}.{os.getpid()}.pt")
    download.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download_from_drive(OFFICIAL_DRIVE_ID, download, by_hand)
        save_checkpoint(read_state_dict(download), target, {"source": f"Google Drive {OFFICIAL_DRIVE_ID}"})
    except ValueError as error:
        raise ConnectionError(f"The download of the authors' weights is not whole: {error} {by_hand}") from error
    finally:
        download.unlink(missing_ok=True)
    return target


def _download_from_drive(drive_id: str, path: Path, by_hand: str) -> None:
    import gdown

    try:
        gdown.download(id=drive_id, output=str(path))
    except Exception as error:
        raise ConnectionError(f"The authors' weights could not be fetched: {error} {by_hand}") from error
    if not path.is_file():
        raise ConnectionError(f"The authors' weights could not be fetched: the host sent no file. {by_hand}")
