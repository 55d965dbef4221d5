"""Print, for each model directory in fp32 and bf16, by how many bytes memory rises at its peak while it is loaded.

Beside it the size of the model. Usage: peak_memory.py GROUP_BYTES DIR... Each load runs in a process of its own, forked
after all imports.
"""

import multiprocessing
import resource
import sys
from pathlib import Path

import psutil
import torch

from maagiqa_pyiqa.semantics.mplug_owl2 import loading


def measure(folder, dtype):
    before = psutil.Process().memory_info().rss
    net = loading.load_mplug_owl2(folder, torch.device("cpu"), dtype)
    size = sum(p.nbytes for p in net.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(peak - before, size, flush=True)


if __name__ == "__main__":
    loading.GROUP_BYTES = int(sys.argv[1])
    torch.nn.Linear(1, 1, device="meta")  # torch imports more at its first
    for directory in sys.argv[2:]:
        for dtype in (torch.float32, torch.bfloat16):
            child = multiprocessing.get_context("fork").Process(target=measure, args=(Path(directory), dtype))
            child.start()
            child.join()
            if child.exitcode:
                sys.exit(child.exitcode)
