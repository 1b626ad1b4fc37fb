"""The styles in which an application pages its lists, as a declaration names them.

Wherever a path says where something stands in the answer, `header:NAME` says that it stands in that header instead.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sync.declared.declaration import Part
from sync.systems.rest.paths import steps

HEADER = "header:"
Path = Annotated[str, Field(min_length=1)]


class Paging(Part):
    """What all styles have: `size` records are asked for under `size_param`. `more` is a flag that says that there is a next page, `last` one
    that says that there is none. `most`: the application shows no more than so many records of one question.
    """

    size_param: str | None = None
    size: int = Field(default=100, ge=1)
    more: Path | None = None
    last: Path | None = None
    most: int | None = Field(default=None, ge=1)
    role: ClassVar[str] = ""
    """What `{...}` in a request is called that stands for the place of the page."""

    @model_validator(mode="after")
    def _paths_read(self) -> Self:
        for name in ("more", "last", "pages", "total", "cursor", "of_record", "url"):
            path = getattr(self, name, None)
            if path is not None and not path.startswith(HEADER):
                steps(path)
        if self.more is not None and self.last is not None:
            raise ValueError("give more (a flag that there is a next page) or last (a flag that there is none), not both")
        return self


class NoPaging(Part):
    """Everything comes in one answer."""

    style: Literal["none"] = "none"
    role: ClassVar[str] = ""


class PageNumber(Paging):
    """Pages are counted from `first`. The last one is told by `more` or `last`, `pages` or `total` (counts), or by having fewer records than
    were asked for (`short_ends`); without any of them an empty page is, since a server may give fewer records than it was asked for.
    """

    style: Literal["page"]
    param: str = "page"
    first: int = 1
    pages: Path | None = None
    total: Path | None = None
    short_ends: bool = False
    role: ClassVar[str] = "page"


class Offset(Paging):
    """The place of the first record is asked for, counted from `first`; the end is told as with page numbers."""

    style: Literal["offset"]
    param: str = "offset"
    size_param: str | None = "limit"
    first: int = 0
    total: Path | None = None
    short_ends: bool = False
    role: ClassVar[str] = "offset"


class BodyCursor(Paging):
    """The next page's cursor stands in the body at `cursor`, or is the value at `of_record` in the last record: its id, or what the list is
    sorted by. Without a flag an absent cursor ends the list. `next_path`: the pages after the first are asked for there, by the cursor alone.
    """

    style: Literal["cursor"]
    param: str = "cursor"
    cursor: Path | None = None
    of_record: Path | None = None
    next_path: str | None = None
    role: ClassVar[str] = "cursor"

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.cursor is None) == (self.of_record is None):
            raise ValueError("a cursor stands at exactly one of cursor (in the body), of_record (in the last record)")
        return self


class HeaderCursor(Paging):
    """The next page's cursor stands in a header; without one the list ends."""

    style: Literal["header"]
    header: str
    param: str = "cursor"
    role: ClassVar[str] = "cursor"


class LinkHeader(Paging):
    """The next page's address stands in the Link header (RFC 8288) under `rel`."""

    style: Literal["link"]
    rel: str = "next"


class NextUrl(Paging):
    """The next page's address stands in the body at `url`, whole or relative to the page's own; on the connection's own host only."""

    style: Literal["next_url"]
    url: Path


AnyPaging = Annotated[NoPaging | PageNumber | Offset | BodyCursor | HeaderCursor | LinkHeader | NextUrl, Field(discriminator="style")]
