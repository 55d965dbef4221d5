"""The start-up hook: what the build places beside the package so that ``import pyiqa`` alone finds our metrics."""
