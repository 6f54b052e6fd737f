"""download.py, run as users run it, and the archive files that it unpacks."""

import io
import os
import random
import subprocess
import sys
import tarfile
import zipfile

from helpers import ROOT
from helpers.loopback_archives import SECRET, SIGNATURE, TOKEN

BODY = random.Random(0).randbytes(300_000)
NAME = "sub-A/sub-A_ses-1.nwb"


def download(name, folder, archives, *arguments, environment=None, **more):
    """Run a data set's download.py against the stand-ins; nothing secret may be seen or be left behind."""
    env = os.environ | archives.environment() | (environment or {})
    command = [sys.executable, f"data/{name}/download.py", "--data_dir", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, **more)
    said = done.stdout + done.stderr
    kept = "".join(path.read_text("latin-1") for path in folder.rglob("*.json"))
    for secret in (TOKEN, SECRET, SIGNATURE):
        assert secret not in said + kept
    assert "Traceback" not in said
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
