"""build."""

from neuralpile.build.preprocess import main

__all__ = ["main"]
