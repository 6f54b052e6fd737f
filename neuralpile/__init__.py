"""The library behind neuralpile's scripts: public primate spiking recordings to one corpus for machine learning."""

from neuralpile import interrupt

__version__ = "0.2.0"

interrupt.end_quietly()
