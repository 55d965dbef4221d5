"""Where things are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"  # recorded values; its README says where they are from
SAMPLE = ROOT / "tests" / "data" / "agiqa_3k"  # twelve images of AGIQA-3k and their rows of ``data.csv``
TINY_MPLUG_OWL2 = GOLDEN / "tiny-mplug-owl2"
