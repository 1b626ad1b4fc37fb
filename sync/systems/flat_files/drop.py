"""A drop folder: which files are complete, what has been taken before, and where settled files go."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sync.errors import PermanentError, TransientError
from sync.systems.flat_files.declaration import Drop, FileKind


@dataclass(frozen=True, slots=True)
class Dropped:
    """A complete file: its bytes are read once, by whoever pulls it."""

    path: Path
    manifest: Path | None

    def companions(self, kind: FileKind) -> list[Path]:
        """The files that came with it: its manifest and its marker, where they exist."""
        marker = self.path.with_name(self.path.name + kind.done_suffix) if kind.done_suffix else None
        return [path for path in (self.manifest, marker) if path is not None and path.is_file()]


class Folders:
    """The folders of one connection. `wall` gives the wall time in seconds, against which a file's age is measured."""

    def __init__(self, drop: Drop, connection: str, wall: Callable[[], float] = time.time) -> None:
        self._drop = drop
        self._connection = connection
        self._wall = wall
        self._folders = [Path(folder).expanduser() for folder in drop.folders]

    def complete(self, kind: FileKind) -> Iterator[Dropped]:
        """The files of `kind` that their sender has finished, by name. Raises TransientError when a folder can't be listed."""
        for folder in self._folders:
            try:
                names = sorted(path.name for path in folder.glob(kind.pattern) if path.is_file())
                if not folder.is_dir():
                    raise FileNotFoundError(folder)
            except OSError as error:
                raise TransientError(
                    f"the folder {folder} can't be listed: {error.strerror or 'it is not there'}", connection=self._connection
                ) from error
            for name in names:
                found = self._finished(folder / name, kind)
                if found is not None:
                    yield found

    def _finished(self, path: Path, kind: FileKind) -> Dropped | None:
        """The file with its manifest, or None while it is being written or waits for its marker."""
        markers = [kind.done_suffix] if kind.done_suffix else []
        markers += [kind.manifest.suffix] if kind.manifest else []
        unfinished = tuple(self._drop.temporary_suffixes)
        if path.name.startswith(".") or path.name.endswith((*unfinished, *markers)):
            return None
        if kind.done_suffix and not path.with_name(path.name + kind.done_suffix).is_file():
            return None
        manifest = manifest_of(path, kind)
        if manifest is not None and not manifest.is_file():
            return None
        if kind.stable_seconds and self._wall() - path.stat().st_mtime < kind.stable_seconds:
            return None
        return Dropped(path, manifest)

    def find(self, name: str, kind: FileKind) -> Dropped | None:
        """The file called `name` in any of the folders, or None."""
        paths = [folder / Path(name).name for folder in self._folders]
        return next((Dropped(path, manifest_of(path, kind)) for path in paths if path.is_file()), None)

    def settle(self, dropped: Dropped, kind: FileKind, *, accepted: bool, reason: str | None) -> None:
        """Moves the file and its companions to the archive, or to quarantine with a file that says why.

        Raises PermanentError when the folder does not allow it; the file then stays, and is known by its digest.
        """
        if accepted and not self._drop.archive:
            return
        target = dropped.path.parent / (self._drop.archive or "archive" if accepted else self._drop.quarantine)
        try:
            target.mkdir(parents=True, exist_ok=True)
            moved = _free(target / dropped.path.name)
            if not accepted:
                words = {"file": dropped.path.name, "reason": reason or "refused"}
                moved.with_name(moved.name + ".reason.json").write_text(json.dumps(words, ensure_ascii=False, indent=1), encoding="utf-8")
            for companion in dropped.companions(kind):
                shutil.move(companion, _free(target / companion.name))
            shutil.move(dropped.path, moved)
        except OSError as error:
            raise PermanentError(
                f"{dropped.path.name} can't be moved to {target}: {error.strerror}; allow it, or set archive to none",
                connection=self._connection,
            ) from error

    def writable(self) -> Iterator[tuple[Path, bool, bool]]:
        """(folder, can be listed, files can be moved out of it)."""
        for folder in self._folders:
            yield folder, folder.is_dir() and os.access(folder, os.R_OK | os.X_OK), os.access(folder, os.W_OK)


def manifest_of(path: Path, kind: FileKind) -> Path | None:
    """Where the manifest of `path` lies, or None when files of `kind` have none."""
    if kind.manifest is None:
        return None
    stem = path.stem if kind.manifest.replaces_extension else path.name
    return path.with_name(stem + kind.manifest.suffix)


def _free(path: Path) -> Path:
    """`path`, or with a number behind its name when a file of that name was settled before."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
