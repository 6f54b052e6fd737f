"""The library behind neuralpile's scripts: public primate spiking recordings to one corpus for machine learning."""

__version__ = "0.2.0"
