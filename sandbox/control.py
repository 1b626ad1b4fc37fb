"""The control port: clock, fault dial, acts, the log of writes, and the truth. For tests and rehearsals, not a business system."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.clock import rate_of
from sandbox.drops import Drops
from sandbox.events.senders import Senders
from sandbox.faults import KINDS
from sandbox.host import Host
from sandbox.world.operations import Refused
from sandbox.world.truth import state, truth


class Control:
    """Answers of the control port, JSON in and out."""

    def __init__(self, host: Host, drops: Drops, senders: Senders) -> None:
        self._host, self._drops, self._senders = host, drops, senders
        self._routes: dict[tuple[str, str], Callable[[Request, dict[str, Any]], Any]] = {
            ("GET", "clock"): lambda _r, _b: self._clock(),
            ("POST", "clock"): self._set_clock,
            ("POST", "advance"): self._advance,
            ("GET", "state"): lambda _r, _b: state(host.catch_up()),
            ("GET", "truth"): lambda _r, _b: truth(host.catch_up()),
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._set_fault,
            ("GET", "log"): self._log,
            ("POST", "act"): self._act,
            ("GET", "receivers"): lambda _r, _b: {"senders": senders.shown()},
            ("POST", "receivers"): self._direct,
        }

    async def answer(self, request: Request) -> Response:
        """The answer to one request; wrong requests are told what is wrong with them."""
        body = await request.body()
        path = request.url.path.removeprefix("/control").strip("/")
        try:
            sent = json.loads(body) if body else {}
            if request.method == "DELETE" and path.split("/")[0] == "faults":
                which = path.partition("/")[2]
                return JSONResponse({"cleared": self._host.dial.clear(int(which) if which else None)})
            if request.method == "DELETE" and path.split("/")[0] == "receivers":
                return JSONResponse({"silenced": self._senders.forget(path.partition("/")[2] or None)})
            route = self._routes.get((request.method, path))
            if route is None or not isinstance(sent, dict):
                known = sorted(f"{m} /control/{p}" for m, p in self._routes)
                return JSONResponse({"error": f"no {request.method} {request.url.path}", "known": known}, 404)
            self._senders.look()  # what changed until now is told of apart from what is about to
            answer = route(request, sent)
            self._drops.deliver(self._host.world)
            self._senders.look()
            return JSONResponse(answer)
        except (Refused, ValueError, TypeError, KeyError) as wrong:
            return JSONResponse({"error": str(wrong), "code": getattr(wrong, "code", "BAD_REQUEST")}, 400)

    def _clock(self) -> dict[str, Any]:
        now = self._host.catch_up().now
        return {"world_at": now.isoformat(), "rate": self._host.clock.rate, "frozen": self._host.clock.frozen}

    def _set_clock(self, _: Request, sent: dict[str, Any]) -> dict[str, Any]:
        self._host.catch_up()
        if sent.get("frozen"):
            self._host.clock.set_rate(0.0)
        elif "day_seconds" in sent:
            self._host.clock.set_rate(rate_of(float(sent["day_seconds"])))
        elif "rate" in sent or sent.get("frozen") is False:
            self._host.clock.set_rate(float(sent.get("rate", rate_of(300))))
        return self._clock()

    def _advance(self, _: Request, sent: dict[str, Any]) -> dict[str, Any]:
        unknown = set(sent) - {"days", "hours", "minutes", "seconds"}
        if unknown or not sent:
            raise ValueError("advance takes days, hours, minutes or seconds")
        self._host.advance(timedelta(**{k: float(v) for k, v in sent.items()}))
        return self._clock()

    def _faults(self, _r: Request, _b: dict[str, Any]) -> dict[str, Any]:
        kinds = {kind: {"systems": systems, "does": does} for kind, (systems, does) in KINDS.items()}
        return {"faults": self._host.dial.shown(), "kinds": kinds}

    def _set_fault(self, _: Request, sent: dict[str, Any]) -> dict[str, Any]:
        rest = {k: v for k, v in sent.items() if k not in ("system", "kind", "times", "seconds", "entity")}
        world = self._host.catch_up()
        if sent.get("kind") == "late_commit":
            rest.setdefault("since", world.now.isoformat())
        fault = self._host.dial.set(
            sent["system"], sent["kind"], times=sent.get("times"), seconds=sent.get("seconds"), entity=sent.get("entity"),
            options=rest,
        )  # fmt: skip
        return {"id": fault.id}

    def _log(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        if request.query_params.get("kind", "write") != "write":
            raise ValueError("the log knows kind=write only")
        after, system = int(request.query_params.get("after", "0")), request.query_params.get("system")
        shown = [
            {"seq": w.seq, "world_at": w.world_at.isoformat(), "system": w.system, "action": w.action, "object": w.what,
             "key": w.key, "before": w.before, "after": w.after, "effective": w.effective, "request_id": w.request_id,
             "duplicate_of": w.duplicate_of}
            for w in self._host.catch_up().writes if w.seq > after and system in (None, w.system)
        ]  # fmt: skip
        return {"total": len(shown), "writes": shown}

    def _direct(self, _: Request, sent: dict[str, Any]) -> dict[str, Any]:
        self._senders.direct(str(sent["system"]), str(sent["url"]), sent.get("secret"))
        return {"senders": self._senders.shown()}

    def _act(self, _: Request, sent: dict[str, Any]) -> dict[str, Any]:
        if "do" not in sent:
            raise ValueError("an act needs a do")
        return self._host.run("act", **sent)
