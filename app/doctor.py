"""The installation examined: each finding says what was looked at, whether it is well, and how to mend it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from db.settings import Settings, SettingsInvalid
from sync.connections import ConfigError, Landscape, load

_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    words: str


def examine(environ: Mapping[str, str]) -> list[Finding]:
    """Everything worth looking at, in the order in which things depend on each other."""
    try:
        settings = Settings.from_environment(environ)
    except SettingsInvalid as error:
        return [Finding("environment", ok=False, words=str(error))]
    findings = [_python(), _home(settings), _browser()]
    configuration, landscape = _configuration(settings)
    findings.append(configuration)
    findings += list(_connections(landscape, environ))
    findings += list(_database(settings))
    return findings


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    well = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("python", ok=well, words=version if well else f"{version}: Tidegate needs 3.11, 3.12 or 3.13")


def _home(settings: Settings) -> Finding:
    place = settings.home
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    if free < _FREE_BYTES:
        return Finding("home", ok=False, words=f"{place}: only {free >> 20} MB free; make room or set TIDEGATE_HOME elsewhere")
    return Finding("home", ok=True, words=f"{place} ({free >> 30} GB free)")


def _browser() -> Finding:
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    return Finding("browser for tests", ok=True, words=found or "none (only `make test` needs one)")


def _configuration(settings: Settings) -> tuple[Finding, Landscape]:
    if not settings.config.is_file():
        words = f"{settings.config} is not there: write one (docs/connections), or name it in TIDEGATE_CONFIG"
        return Finding("connections file", ok=False, words=words), Landscape()
    try:
        landscape = load(settings.config)
    except ConfigError as error:
        return Finding("connections file", ok=False, words=str(error)), Landscape()
    return Finding("connections file", ok=True, words=f"{settings.config}: {len(landscape.connections)} connections"), landscape


def _connections(landscape: Landscape, environ: Mapping[str, str]) -> Iterator[Finding]:
    for connection in landscape.connections:
        missing = connection.missing()
        if missing and all(name.startswith("SANDBOX_") for name in missing):
            yield Finding(connection.name, ok=True, words="waits for the sandbox, which `tidegate up` starts")
            continue
        if missing:
            yield Finding(connection.name, ok=False, words=f"set {', '.join(missing)} in the environment")
            continue
        try:
            for name in connection.secrets:
                connection.secret(name, environ)
        except ConfigError as error:
            yield Finding(connection.name, ok=False, words=str(error))
            continue
        yield Finding(connection.name, ok=True, words="configured; prove it with: tidegate connections test " + connection.name)


def _database(settings: Settings) -> Iterator[Finding]:
    from db.engine import open_database

    try:
        database = open_database(settings, application="tidegate-doctor", pool_size=1)
    except Exception as error:
        hint = "check DATABASE_URL" if settings.database_url else f"look at the server's log below {Path(settings.home)}"
        yield Finding("database", ok=False, words=f"{error}; {hint}")
        return
    with database:
        from sqlalchemy import text

        from db.engine import reading

        with reading(database.engine) as conn:
            version = conn.execute(text("show server_version")).scalar_one()
            stale = conn.execute(text("select count(*) from process.stream where not is_paused and last_error is not null")).scalar_one()
        yield Finding("database", ok=True, words=f"Postgres {version}, at the newest revision")
        words = "all streams well" if not stale else f"{stale} stream(s) report an error: tidegate connections list"
        yield Finding("streams", ok=not stale, words=words)
