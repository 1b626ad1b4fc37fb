"""Process templates: a run makes a task that the tenant works off in its own time; its files are there when it has ended."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import quote

import msgspec

from sync.errors import DataError, TransientError
from sync.http import Answer
from sync.strict_json import NotStrict, loads
from sync.systems.kyriba.client import ARCHIVE, Session

RUNNING = frozenset({"pending", "in progress", "cancelling"})
DELIVERED = frozenset({"complete", "warning"})
FAILED = frozenset({"error", "cancelled"})
GONE = "no longer known"
UNKNOWN = (400, 404, 410)
"""How a tenant may say that it has no such task."""
FILES_MAX = 200
UNPACKED_BYTES_MAX = 200 << 20
RATIO_MAX = 200


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A file that a task has made: its name, its kind as the tenant calls it, and its bytes."""

    name: str
    content_type: str
    body: bytes


class Tasks:
    """A tenant's process templates over one session. Raises sync.errors only."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, template: str) -> str:
        """Starts the template; returns the task's id. The template's code is the tenant's own."""
        answer = self._session.ask(f"v1/process-templates/{quote(template, safe='')}/run")
        said = answer.json()
        first = said[0] if isinstance(said, list) and said else said
        task = first.get("taskId") if isinstance(first, dict) else None
        if not isinstance(task, str | int) or not str(task):
            raise TransientError(f"{answer.place}: the answer names no taskId", status=answer.status)
        return str(task)

    def status(self, task: str) -> tuple[str, Answer]:
        """Where the task stands, in the tenant's words, lower case, or GONE; TransientError for words that we don't know."""
        answer = self._session.get(f"v1/process-templates/{quote(task, safe='')}/status", accept=UNKNOWN, expect="any")
        if answer.status in UNKNOWN:
            return GONE, answer
        words = _words(answer)
        if words not in RUNNING | DELIVERED | FAILED:
            raise TransientError(f"{answer.place}: {words or 'no'!r} is no status of a task that is known")
        return words, answer

    def details(self, task: str) -> Answer:
        """The task's own log."""
        return self._session.get(f"v1/process-templates/{quote(task, safe='')}/details")

    def made(self, template: str, task: str) -> Answer | None:
        """What the task has made, as it came; None when it made nothing."""
        answer = self._session.file(f"v1/process-templates/{quote(template, safe='')}/files", {"taskId": task})
        return None if answer.status in (204, 404) or not answer.body.strip() else answer


def _words(answer: Answer) -> str:
    """The status in lower case: a member of the answer or of its first element, or the whole answer as a text, quoted or bare. What the
    answer looks like is not public.
    """
    try:
        said: Any = loads(answer.body)
    except NotStrict:
        said = answer.body[:80].decode("utf-8", "replace")
    if isinstance(said, list) and said:
        said = said[0]
    if isinstance(said, dict):
        said = said.get("status", said.get("taskStatus"))
    return " ".join(str(said).replace("_", " ").split()).lower()


def unpacked(answer: Answer, name: str) -> Iterator[TaskFile]:
    """The files in an answer: itself, the members of a zip archive, or the parts of a multipart body. DataError when an archive can't be
    opened within its bounds.
    """
    if answer.body.startswith(ARCHIVE):
        yield from _members(answer.body, name)
    elif answer.content_type.startswith("multipart/"):
        head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        message: Any = BytesParser(policy=HTTP).parsebytes(head + answer.body)
        parts = [part for part in message.walk() if not part.is_multipart()]
        for number, part in enumerate(parts, start=1):
            body = part.get_payload(decode=True)
            if isinstance(body, bytes) and body.strip():
                yield TaskFile(part.get_filename() or f"{name} {number}", part.get_content_type(), body)
    else:
        yield TaskFile(_named(answer) or name, answer.content_type, answer.body)


def _named(answer: Answer) -> str | None:
    """The file's name as the answer gives it, without a path."""
    header = answer.headers.get("content-disposition")
    if not header:
        return None
    message: Any = BytesParser(policy=HTTP).parsebytes(f"Content-Disposition: {header}\r\n\r\n".encode())
    given = message.get_filename()
    return str(given).replace("\\", "/").rpartition("/")[2] or None if given else None


def _members(body: bytes, name: str) -> Iterator[TaskFile]:
    """The archive's files, opened within bounds of number, size and ratio; DataError beyond them."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > FILES_MAX:
                raise _refused(name, f"the archive holds {len(members)} files, {FILES_MAX} at most are taken")
            left = min(UNPACKED_BYTES_MAX, max(len(body), 4096) * RATIO_MAX)
            for member in members:
                with archive.open(member) as opened:
                    content = opened.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise _refused(name, "the archive unpacks to more than its size makes plausible")
                yield TaskFile(member.filename.replace("\\", "/").rpartition("/")[2], "application/octet-stream", content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise _refused(name, f"the archive can't be opened: {error}") from error


def _refused(name: str, words: str) -> DataError:
    return DataError(f"{name}: {words}", cause="file_unreadable", evidence={"archive": name})


def messages(body: bytes) -> list[str]:
    """What a task's log says, as short texts: every member called message, text, description or detail, wherever it stands."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body[:300].decode("utf-8", "replace")]
    found: list[str] = []
    rest: list[Any] = [said]
    while rest and len(found) < 20:
        here = rest.pop(0)
        if isinstance(here, dict):
            found += [str(here[name])[:200] for name in ("message", "text", "description", "detail") if isinstance(here.get(name), str)]
            rest += here.values()
        elif isinstance(here, list):
            rest += here
    return list(dict.fromkeys(found))
