"""Refuse every installation but an editable one: the library finds data sets, figures and scripts in its checkout."""

from setuptools import setup
from setuptools.command.build_py import build_py


class EditableOnly(build_py):
    """Build the links of `pip install -e`, and nothing that would be copied out of the checkout."""

    def run(self) -> None:
        """Stop with one line where files are to be copied."""
        if not self.editable_mode:
            raise SystemExit(
                "error: neuralpile works from its checkout, where data/ and the scripts are; "
                "expected an editable install, found a wheel or a copy; run: pip install -e PATH_OF_THE_CHECKOUT"
            )
        super().run()


setup(cmdclass={"build_py": EditableOnly})
