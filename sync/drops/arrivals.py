"""Which dropped files are complete, and where they go once they are settled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from sync.drops.options import DropOptions
from sync.drops.place import Place, Seen

Looks = Mapping[str, Sequence[int]]
"""Path of a file that may still grow -> its size, its time of change, and when it was first seen so (whole seconds, our clock). JSON-able."""


AHEAD_SECONDS = 5
"""A stamp of our own clock that lies further in the future is none of ours."""


@dataclass(frozen=True, slots=True)
class Signs:
    """By what a kind of file is known, and known to be complete: its name; a marker or a manifest beside it, written last; or its rest.

    With `replaces` the marker's or manifest's suffix stands in place of the file's own: `x.done` for `x.csv`.
    """

    pattern: str = "*"
    done_suffix: str | None = None
    done_replaces: bool = False
    manifest_suffix: str | None = None
    manifest_replaces: bool = False
    stable_seconds: float = 0

    def companions(self, name: str) -> list[str]:
        """The names that have to lie beside the file `name` before it is complete."""
        stem = PurePosixPath(name).stem
        given = ((self.done_suffix, self.done_replaces), (self.manifest_suffix, self.manifest_replaces))
        return [(stem if replaces else name) + suffix for suffix, replaces in given if suffix]

    def manifest(self, name: str) -> str | None:
        """The name of the manifest of the file `name`, or None when its kind has none."""
        return self.companions(name)[-1] if self.manifest_suffix else None

    def is_companion(self, name: str) -> bool:
        """Whether `name` is that of a marker or a manifest."""
        return any(suffix and name.endswith(suffix) for suffix in (self.done_suffix, self.manifest_suffix))


@dataclass(frozen=True, slots=True)
class Dropped:
    """A complete file where it lies, with the manifest and the marker that came with it."""

    place: Place
    file: Seen
    companions: tuple[Seen, ...] = ()
    manifest: Seen | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at every place showed: the complete files by place and name; those that may still grow, to be remembered for the next
    look; and the markers and manifests whose file is not there.
    """

    complete: tuple[Dropped, ...]
    growing: dict[str, list[int]] = field(default_factory=dict)
    orphans: tuple[Dropped, ...] = ()


class Arrivals:
    """The places of one connection. `wall` gives wall time in seconds. `reason_suffix`: what the file is called that says why another was
    refused; `.json` makes it a document.
    """

    def __init__(
        self, places: Sequence[Place], options: DropOptions, *, wall: Callable[[], float] = time.time, reason_suffix: str = ".reason.json"
    ) -> None:
        self.places = places
        self._options, self._wall, self._reason_suffix = options, wall, reason_suffix

    def look(self, signs: Signs, before: Looks | None = None) -> Look:
        """The files of one kind. `before`: what grew at the last look. Raises what `Place.look` raises."""
        complete: list[Dropped] = []
        orphans: list[Dropped] = []
        growing: dict[str, list[int]] = {}
        for place in self.places:
            seen = {each.name: each for each in place.look()}
            of_kind = [each for each in seen.values() if self._is_of(each.name, signs)]
            for each in of_kind:
                beside = [seen.get(name) for name in signs.companions(each.name)]
                if None in beside:
                    continue
                companions = tuple(one for one in beside if one is not None)
                if self._rests(place, each, signs, before or {}, growing):
                    complete.append(Dropped(place, each, companions, companions[-1] if signs.manifest_suffix else None))
            claimed = {name for each in of_kind for name in signs.companions(each.name)}
            orphans += [Dropped(place, each) for each in seen.values() if signs.is_companion(each.name) and each.name not in claimed]
        return Look(tuple(complete), growing, tuple(orphans))

    def find(self, name: str, signs: Signs) -> Dropped | None:
        """The file called `name` with what lies beside it, complete or not; None when it is in no place."""
        for place in self.places:
            seen = {each.name: each for each in place.look()}
            if name in seen:
                companions = tuple(seen[each] for each in signs.companions(name) if each in seen)
                manifest = signs.manifest(name)
                return Dropped(place, seen[name], companions, seen.get(manifest) if manifest else None)
        return None

    def settle(self, dropped: Dropped, *, accepted: bool, reason: str | None) -> None:
        """Moves the file and its companions to the archive, or to quarantine with a file that says why. The file goes first: what may be
        left behind are companions, which wait for a file that never comes.

        Raises PermanentError when the place does not allow it; the file then stays.
        """
        folder = self._options.archive if accepted else self._options.quarantine
        if not folder:
            return
        name = dropped.place.move(dropped.file, folder)
        if not accepted:
            dropped.place.write(folder, name + self._reason_suffix, self._reason(dropped.file.name, reason or "refused"))
        for companion in dropped.companions:
            dropped.place.move(companion, folder)

    def close(self) -> None:
        """Lets go of every place."""
        for place in self.places:
            place.close()

    def _is_of(self, name: str, signs: Signs) -> bool:
        waits = (
            name.startswith(".")
            or name.lower().endswith(tuple(each.lower() for each in self._options.temporary_suffixes))
            or signs.is_companion(name)
        )
        return not waits and fnmatchcase(name, signs.pattern)

    def _rests(self, place: Place, seen: Seen, signs: Signs, before: Looks, growing: dict[str, list[int]]) -> bool:
        """Whether the file has rested: by its age where our clock stamps it, else (or with a stamp from the future) seen the same at two looks
        that far apart.
        """
        if not signs.stable_seconds:
            return True
        now = self._wall()
        age = now - seen.changed / 1e9
        if place.own_clock and age > -AHEAD_SECONDS:
            return age >= signs.stable_seconds
        path = f"{place.words}/{seen.name}"
        size, changed, since = (*before.get(path, ()), 0, 0, 0)[:3]
        same = (size, changed) == (seen.size, seen.changed) and path in before
        # A whole second more, since what is remembered is cut to seconds.
        if same and now - since >= signs.stable_seconds:
            return True
        growing[path] = [seen.size, seen.changed, since if same else int(now) + 1]
        return False

    def _reason(self, name: str, reason: str) -> bytes:
        if self._reason_suffix.endswith(".json"):
            return json.dumps({"file": name, "reason": reason}, ensure_ascii=False, indent=1).encode()
        return f"{reason}\n".encode()


def left_alone(orphans: Iterable[Dropped], signs: Signs, taken: Callable[[str], bool]) -> Iterator[Dropped]:
    """Of these companions those whose file was taken: we were stopped after the file had been moved and before they were."""
    for orphan in orphans:
        name = orphan.file.name
        ends = [suffix for suffix in (signs.done_suffix, signs.manifest_suffix) if suffix and name.endswith(suffix)]
        if any(taken(name.removesuffix(suffix)) for suffix in ends):
            yield orphan
