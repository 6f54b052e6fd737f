"""Read data sets from the Hugging Face Hub, and publish builds, corpora and motif tables there.

`reader` reads rows of a repository; `repository` and `publish` upload; `card` writes the data set card; `options` are
the command-line options for publishing.

Imports the hall and corpus. Imported by open, build and the scripts.
"""

import os
from urllib.parse import urlsplit

from neuralpile.errors import BadInput


def check_endpoint() -> None:
    """Check the address of another Hub in the environment before its libraries are imported: they raise tracebacks.

    Raises:
        BadInput: HF_ENDPOINT is not a web address. The message does not repeat it, because it can hold a password.
    """
    try:
        parts = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        expected = "an address like https://huggingface.co"
        raise BadInput("HF_ENDPOINT", expected, "another value", "correct it or unset it")
