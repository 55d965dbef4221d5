"""What Python programs use: ``maagiqa_pyiqa.score``, and metrics for evaluation loops."""
