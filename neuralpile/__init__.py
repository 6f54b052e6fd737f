"""The library behind neuralpile's scripts: public primate spiking recordings to one corpus for machine learning."""

from neuralpile import environment

environment.check()
if environment.is_script():
    environment.spare_address_space()

from neuralpile import interrupt  # noqa: E402 - a Python that is too old cannot import more

__version__ = "0.2.0"

interrupt.end_quietly()
