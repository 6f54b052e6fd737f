"""download.py, run as users run it, and the archive files that it unpacks."""

import io
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from contextlib import ExitStack
from unittest import mock

from helpers import ROOT, in_process
from helpers.loopback_archives import SECRET, SIGNATURE, TOKEN
from neuralpile import http_client
from neuralpile.acquire.archives import dandi, dryad, gin, osf, zenodo

# What the library reads from the environment when it is imported
CONSTANTS = (
    (http_client, "RETRY_SECONDS", "NEURALPILE_RETRY_SECONDS"),
    (http_client, "SILENT_SECONDS", "NEURALPILE_TIMEOUT"),
    (dandi, "MIRROR", "NEURALPILE_DANDI_API"),
    (dryad, "BASE", "NEURALPILE_DRYAD_API"),
    (zenodo, "API", "NEURALPILE_ZENODO_API"),
    (osf, "API", "NEURALPILE_OSF_API"),
    (gin, "BASE", "NEURALPILE_GIN"),
)
BODY = random.Random(0).randbytes(300_000)
NAME = "sub-A/sub-A_ses-1.nwb"


def download(name, folder, archives, *arguments, environment=None, **more):
    """Run a data set's download.py against the stand-ins; nothing secret may be seen or be left behind.

    It runs in the tests' own process, unless there is more to say of its process than variables.
    """
    env = archives.environment() | (environment or {})
    script = f"data/{name}/download.py"
    if more:
        command = [sys.executable, script, "--data_dir", str(folder), *arguments]
        options = {"cwd": ROOT, "env": os.environ | env, "capture_output": True, "text": True, "timeout": 120}
        done = subprocess.run(command, **options | more)
    else:
        with mock.patch.dict(os.environ, env), ExitStack() as stack:
            for module, constant, variable in CONSTANTS:
                if variable in env:  # most tests keep the library's own patience
                    kind = type(getattr(module, constant))
                    stack.enter_context(mock.patch.object(module, constant, kind(env[variable])))
            done = in_process.run(folder, script, "--data_dir", folder, *arguments)
    said = done.stdout + done.stderr
    kept = "".join(path.read_text("latin-1") for path in folder.rglob("*.json"))
    for secret in (TOKEN, SECRET, SIGNATURE):
        assert secret not in said + kept
    assert "Traceback" not in said, said
    return done


def files_in(folder):
    """The files of a folder but for the list and locks."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(p.relative_to(folder)) for p in found if p.suffix not in (".json", ".lock"))


PACKED = "t15_copyTask_neuralData.zip"
MEMBER = "hdf5_data_final/t15.2023.08.11/data_train.hdf5"


def zipped(members, **attributes):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, body in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes.get(name, 0o100644) << 16
            file.writestr(info, body)
    return out.getvalue()


def tarred(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(body, str):
                info.type, info.linkname = tarfile.SYMTYPE, body
                file.addfile(info)
            else:
                info.size = len(body)
                file.addfile(info, io.BytesIO(body))
    return out.getvalue()


TARS = ("diagnosticBlocks.tar.gz", "sentences.tar.gz", "tuningTasks.tar.gz")
