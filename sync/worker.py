"""The background process: opens what it needs, runs the clock and the queue, and stops cleanly when asked to."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from db.clock import DatabaseClock
from db.engine import open_database, writing
from db.settings import Settings
from sync import clock, housekeeping, streams
from sync.connections import ConfigError, Connection, load
from sync.queue import queues
from sync.systems.registry import system
from sync.tasks import Shop, make_app

RESCUE_SECONDS = 30
STOP_SECONDS = 8
MOST_THREADS = 64
_ARENA_MAX = -8
_log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT; then lets running jobs end for some seconds and leaves. A killed one loses nothing.

    Raises ConfigError for a connections file that is wrong, and what `db.engine.open_database` raises.
    """
    _speak()
    _be_modest()
    landscape = load(settings.config)
    with open_database(settings, application="tidegate-worker", pool_size=12) as database:
        shop = Shop(database, landscape, DatabaseClock(database.engine))
        pulls = register(shop)
        with writing(database.engine) as conn:
            housekeeping.tidy(conn, now=shop.clock.now())
        app = make_app(shop)
        # One slot for every stream, region and target, so that none that hangs takes another's.
        slots = min(MOST_THREADS, len(pulls) + 2 * len(queues(landscape)) + len(landscape.connections))
        scheduler = clock.start(database.engine, pulls)
        _log.info("worker started", streams=len(pulls), slots=slots, pid=os.getpid())
        try:
            asyncio.run(_work(app, queues(landscape), slots))
        finally:
            scheduler.shutdown(wait=False)
            shop.close()
    _log.info("worker stopped")
    # A pull that is still waiting for another company's system is cut off here: what it committed stands.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def register(shop: Shop) -> list[tuple[Connection, str]]:
    """Makes the rows of every enabled stream; returns (connection, stream) in pulling order. What is not configured is left out."""
    pulls: list[tuple[Connection, str]] = []
    for connection in shop.landscape.connections:
        try:
            source = system(connection).make_source(connection, shop.landscape)
        except ConfigError as error:
            _log.warning("connection left out", connection=connection.name, error=str(error))
            continue
        offered = [each for each in source.streams() if connection.stream(each.name).enabled]
        source.close()
        with writing(shop.database.engine) as conn:
            streams.register(conn, connection, offered)
        pulls += [(connection, each.name) for each in offered]
    return pulls


async def _work(app: procrastinate.App, names: list[str], slots: int) -> None:
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(slots, thread_name_prefix="job")
    loop.set_default_executor(threads)
    async with app.open_async():
        await _rescue(app)
        rescuing = asyncio.create_task(_rescue_forever(app))
        working = asyncio.create_task(
            app.run_worker_async(
                queues=names,
                concurrency=slots,
                install_signal_handlers=False,
                shutdown_graceful_timeout=STOP_SECONDS,
                delete_jobs="successful",
                fetch_job_polling_interval=2.0,
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, working.cancel)
        with suppress(asyncio.CancelledError):
            await working
        rescuing.cancel()
    threads.shutdown(wait=False, cancel_futures=True)
    # asyncio would wait for every thread: the ones that hang must not hold up the stop.
    loop.set_default_executor(ThreadPoolExecutor(1))


async def _rescue_forever(app: procrastinate.App) -> None:
    while True:
        await asyncio.sleep(RESCUE_SECONDS)
        with suppress(ConnectorException):
            await _rescue(app)


async def _rescue(app: procrastinate.App) -> None:
    """Jobs of a worker that died go back into the queue; where the same work waits there already, the dead job just ends."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=RESCUE_SECONDS):
        if job.id is None:
            continue
        _log.warning("rescuing the job of a dead worker", task=job.task_name, lock=job.lock)
        try:
            await app.job_manager.retry_job(job)
        except ConnectorException:
            await app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)


def _be_modest() -> None:
    """Many threads that each allocate a little would make glibc keep a heap for each of them: two are enough."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").mallopt(_ARENA_MAX, 2)


def _speak() -> None:
    """Plain lines to stderr, which is the worker's log."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
