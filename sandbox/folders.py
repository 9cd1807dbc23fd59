"""Private folders, the locks on them, and sockets that fit into a socket address."""

import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path

# sockaddr_un.sun_path holds 108 bytes with its final NUL (unix(7)); on macOS 104.
SOCKET_PATH_BYTES = 103


class FolderHeld(Exception):
    """Another process holds the lock on this folder; the message tells a person which and what to do."""


def private_folder(path: Path) -> Path:
    """Create the folder (mode 0700) or tighten one of ours; give its absolute path.

    Raises PermissionError for a link and for somebody else's folder: in a shared place such as /tmp anybody may
    have put it there first, and would read or replace what we write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} is a link or belongs to another user; remove it or choose another folder")
    path.chmod(0o700)
    return path.absolute()


def socket_folder(beside: Path, socket_name: str) -> Path:
    """Give a private folder in which a socket of this name has an address short enough.

    That is `beside` itself, or for a deep project one below the temporary folder, always the same for the same
    `beside`, so that a run killed with -9 leaves nothing that the next one does not use again.
    """
    beside = beside.absolute()
    if len(os.fsencode(beside / socket_name)) <= SOCKET_PATH_BYTES:
        return private_folder(beside)
    digest = hashlib.sha256(os.fsencode(beside)).hexdigest()[:12]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 -- private_folder refuses a planted one
        short = parent / f"storefront-{os.geteuid()}-{digest}"
        if len(os.fsencode(short / socket_name)) <= SOCKET_PATH_BYTES:
            return private_folder(short)
    raise OSError(f"no folder short enough for a socket: {beside}")


def hold(folder: Path, purpose: str, *, patience: float = 0.0) -> int:
    """Lock `folder/<purpose>.lock` and give the descriptor: the lock lasts until every copy of it is closed.

    The kernel drops it when its holders die, so nothing is left to clean up after kill -9. A lock that is held
    longer than `patience` seconds raises FolderHeld, naming the process that took it.
    """
    path = folder / f"{purpose}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            holder = os.read(descriptor, 20).decode().strip() or "unknown"
            os.close(descriptor)
            raise FolderHeld(
                f"{folder} is in use by process {holder}. End that one first, or choose another folder with VAR=."
            ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
