"""`tidegate ...`: the command line's contents page. Every command opens what it needs and says what it found.

Data goes to stdout, words to stderr; `--json` prints data as JSON; the exit code is 0 only if what is said is well.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from app.terminal import fail, say
from db.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where the dashboard listens, on loopback.")] = 8501,
    sandbox: Annotated[bool, typer.Option("--sandbox/--no-sandbox", help="Start the stand-in systems too.")] = True,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page when it is up.")] = True,
) -> None:
    """Everything on this machine: database, sandbox, worker, API, dashboard."""
    from app.up import Everything, free_port

    chosen = free_port(port)
    if chosen != port:
        say(f"port {port} is taken; using {chosen}")
    everything = Everything(Settings.from_environment(), port=chosen, api_port=free_port(chosen + 1), sandbox=sandbox, say=say)

    def ready(address: str) -> None:
        print(f"Tidegate is up: {address}", flush=True)
        print(f"API: http://localhost:{everything.api_port}/docs   logs: {everything.logs}   stop: Ctrl-C", flush=True)
        if browser and sys.stdout.isatty() and os.environ.get("DISPLAY", os.environ.get("WAYLAND_DISPLAY", sys.platform == "darwin")):
            import webbrowser

            webbrowser.open(address)

    raise typer.Exit(everything.run(ready))


@app.command()
def worker() -> None:
    """The background process alone: clock, queue, pulls, rules, deliveries."""
    from sync.worker import run

    _link_sandbox()
    run(Settings.from_environment())


@app.command()
def dashboard(
    port: Annotated[int, typer.Option()] = 8501,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """The dashboard alone."""
    from app.dashboard import serve

    _link_sandbox()
    serve(Settings.from_environment(), host=host, port=port)


@app.command()
def api(
    port: Annotated[int, typer.Option()] = 8502,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """The HTTP API alone."""
    from app.api import serve

    _link_sandbox()
    serve(host=host, port=port)


@app.command()
def sandbox(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to the sandbox; see docs/sandbox.md.")] = None,
) -> None:
    """The stand-in systems alone."""
    from app.sandbox_link import sandbox_home

    state = sandbox_home(Settings.from_environment().home)
    state.mkdir(parents=True, exist_ok=True)
    os.execv(sys.executable, [sys.executable, "-m", "sandbox", "--state", str(state), *(arguments or [])])


def _link_sandbox() -> None:
    from app.sandbox_link import adopt

    adopt(Settings.from_environment().home)


def _add_groups() -> None:
    from app import cli_data, cli_database, cli_orders, cli_queue, cli_sources

    for group in (cli_sources, cli_data, cli_queue, cli_orders, cli_database):
        group.register(app)


def main() -> None:
    """The entry point: unexpected failures become words and exit code 2, with the traceback kept for TIDEGATE_DEBUG=1."""
    _add_groups()
    try:
        app()
    except Exception as error:
        if os.environ.get("TIDEGATE_DEBUG"):
            raise
        fail(f"{type(error).__name__}: {error}", code=2)


if __name__ == "__main__":
    main()
