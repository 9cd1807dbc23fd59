"""How PostgreSQL, which refuses to run as root, is started by whoever we are.

As a normal user: directly. As root: in a user namespace in which root is user 1000, so no system user is made, no
folder is opened to others and the data stays inside a private folder. Where namespaces are refused (Docker's
default) as `nobody`, with the data below /var/tmp, because `nobody` may not enter a private folder.
"""

import grp
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.folders import private_folder

# The kernel forgets the death signal when a process changes its user, so setpriv asks for it again, last.
IN_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "setpriv", "--pdeathsig", "INT")
NOBODY_HOMES = Path("/var/tmp")  # noqa: S108 -- survives a restart; private_folder refuses a planted folder


class CannotStart(Exception):
    """PostgreSQL cannot be started here; the message says what is missing."""


@dataclass(frozen=True)
class Launch:
    """Where the programs are, what stands before them on the command line, and where the data may live."""

    prefix: Sequence[str]
    programs: Path
    home: Path


def launch_for(folder: Path, programs: Path, *, as_nobody: bool | None = None) -> Launch:
    """Choose how to start `programs` on data in `folder`; `as_nobody` None tries the namespace first."""
    if os.geteuid() != 0:
        return Launch((), programs, folder)
    if not as_nobody and runs([*IN_NAMESPACE, programs / "postgres", "--version"]):
        return Launch(IN_NAMESPACE, programs, folder)
    if not shutil.which("setpriv"):
        raise CannotStart("PostgreSQL does not run as root and setpriv is missing: install util-linux")
    return as_user_nobody(folder, programs)


def as_user_nobody(folder: Path, programs: Path) -> Launch:
    """Give `nobody` a private home for this folder's data, and a copy of the programs if it cannot reach them."""
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    prefix = ("setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups", "--pdeathsig", "INT")
    base = private_folder(nobody_base(folder))
    base.chmod(0o711)
    home = base / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    if not runs([*prefix, programs / "postgres", "--version"]):
        programs = copied(programs, base)
    return Launch(prefix, programs, home)


def nobody_base(folder: Path) -> Path:
    """Always the same place for the same folder, so the data is found again."""
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
    return NOBODY_HOMES / f"storefront-postgres-{digest}"


def copied(programs: Path, base: Path) -> Path:
    """Copy the whole installation, of which `programs` is the bin folder, to where anybody may read it."""
    changed = (programs / "postgres").stat().st_mtime_ns
    target = base / f"programs-{changed:x}"
    if not target.exists():
        partial = base / "programs-partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(programs.parent, partial, symlinks=True)
        partial.chmod(0o755)
        partial.rename(target)
    return target / programs.name


def runs(command: Sequence[str | Path]) -> bool:
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
