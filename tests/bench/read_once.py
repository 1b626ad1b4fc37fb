"""One reading of a statement file in a process of its own: how long it took, and by how much the process grew at most.

python -m tests.bench.read_once FORMAT ARM PATH     prints seconds, MB and the number of entries
"""

from __future__ import annotations

import gc
import io
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from tests.bench.statement_files import MADE

WARM_ENTRIES = 2_000


def ours(body: bytes) -> int:
    """Parsed, judged and mapped into canonical frames, as a pull does it."""
    from sync.connections import LegalEntity
    from sync.statements import Owners, mapped

    owner = LegalEntity(code="DE01", name="Ours", region="EMEA", currency="EUR", zone="Europe/Berlin")
    found = mapped(body, Owners("bank", "EMEA", {}, [owner], None), {})
    return found.frames["bank_transaction"].height


def camt_floor(body: bytes) -> int:
    """Every entry's end, and nothing read of it."""
    from lxml import etree

    count = 0
    for _, element in etree.iterparse(io.BytesIO(body), events=("end",), tag="{*}Ntry", resolve_entities=False, no_network=True):
        count += 1
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    return count


def mt940_floor(body: bytes) -> int:
    """Every line decoded and told by its tag, and nothing read of it."""
    tag = re.compile(r"^:(\d\d[A-Z]?):(.*)$")
    found = (tag.match(line) for line in io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline=None))
    return sum(1 for each in found if each is not None and each[1] == "61")


def bai2_floor(body: bytes) -> int:
    """Every record decoded and split into its fields, and nothing read of it."""
    records = (line.rstrip("/\n").split(",") for line in io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline=None))
    return sum(1 for record in records if record[0] == "16")


def mt940_library(body: bytes) -> int:
    """The library mt-940 with all the options that make it right: it parses, and neither judges nor maps."""
    import mt940  # type: ignore[import-untyped,unused-ignore]

    return sum(len(each.transactions) for each in mt940.parse_statements(body.decode(), options=mt940.Options.all()))


def bai2_library(body: bytes) -> int:
    """The library bai2, checking the file's totals: it parses, and does not map."""
    from bai2 import bai2 as library  # type: ignore[import-untyped,unused-ignore]

    found = library.parse_from_lines(body.decode().splitlines(), check_integrity=True)
    return sum(len(account.children) for group in found.children for account in group.children)


ARMS: dict[tuple[str, str], Callable[[bytes], int]] = {
    **{(form, "ours"): ours for form in MADE},
    ("camt.053", "floor"): camt_floor,
    ("MT940", "floor"): mt940_floor,
    ("BAI2", "floor"): bai2_floor,
    ("MT940", "library"): mt940_library,
    ("BAI2", "library"): bai2_library,
}


def main() -> None:
    """Reads a small file of the format first, so that imports and first uses are not measured."""
    form, arm, path = sys.argv[1:]
    read = ARMS[form, arm]
    read(MADE[form](WARM_ENTRIES))
    body = Path(path).read_bytes()
    gc.collect()
    process = psutil.Process()
    before = most = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    count = read(body)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    print(seconds, (max(most, process.memory_info().rss) - before) / (1 << 20), count)


if __name__ == "__main__":
    main()
