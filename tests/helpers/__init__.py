"""What tests of several wings share: miniature recordings, builds, and servers that stand in for the real ones."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
