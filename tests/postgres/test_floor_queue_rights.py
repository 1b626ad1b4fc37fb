"""A page may put a job into the queue in its own transaction, and nothing more."""

from __future__ import annotations

import procrastinate
import pytest
import sqlalchemy as sa

from db.engine import Reading, Scope, driver, reading, writing

ANA = Scope(frozenset({"EMEA"}), "ana@example.com")


def _jobs(engine: sa.Engine) -> int:
    with reading(engine) as conn:
        return int(conn.execute(sa.text("SELECT count(*) FROM procrastinate_jobs")).scalar_one())


def _defer(conn: Reading, app: procrastinate.App) -> None:
    app.configure_task("submit", queue="commands", queueing_lock="command-1", connection=driver(conn)).defer(command=1)


@pytest.mark.postgres_versions
def test_a_page_defers_a_job_in_its_transaction(engine: sa.Engine) -> None:
    """The job is there when the page's transaction commits, and isn't when it fails."""
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
    with pytest.raises(RuntimeError), writing(engine, ANA) as conn:
        _defer(conn, app)
        raise RuntimeError
    assert _jobs(engine) == 0
    with writing(engine, ANA) as conn:
        _defer(conn, app)
    assert _jobs(engine) == 1


def test_a_page_may_not_change_the_queue(engine: sa.Engine) -> None:
    """Jobs can't be altered or removed by the pages' role."""
    for statement in ("DELETE FROM procrastinate_jobs", "UPDATE procrastinate_jobs SET status = 'failed'"):
        with pytest.raises(sa.exc.ProgrammingError), writing(engine, ANA) as conn:
            conn.execute(sa.text(statement))
