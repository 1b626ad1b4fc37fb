"""One sender's way to its receiver: what is waiting, what is sent again and when, and what the fault dial does to it on the way."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from sandbox.events.mail import Answer, Letter, Mail, Receiver, Sender
from sandbox.faults import Dial
from sandbox.world.engine import World

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until something is sent again: twice as long each time. The vendors go up to hours; a rehearsal's day has minutes."""
GIVE_UP_AFTER = 86_400.0
WAITING_MAX = 5_000
COPIES_MAX = 200
PATIENCE = 60.0
KEPT_WORDS = 200


class Lane:
    """The mail of one sender. All methods are called in the sandbox's loop; `work` runs there until it is cancelled."""

    def __init__(self, sender: Sender, dial: Dial, world: Callable[[], World], steady: Callable[[], float] = time.monotonic) -> None:
        self.sender = sender
        self.receiver: Receiver | None = None
        self.counts: Counter[str] = Counter()
        self.last_words = ""
        self._dial, self._world, self._steady = dial, world, steady
        self._waiting: list[tuple[float, int, int, float, Mail]] = []
        self._held: list[Mail] = []
        self._flying = 0
        self._number = 0
        self._consented = False
        self._rest_until, self._failures = 0.0, 0
        self._woken = asyncio.Event()

    def direct(self, receiver: Receiver | None) -> None:
        """Sends to another receiver from now on; None: to nobody, and what is waiting is forgotten."""
        self.receiver, self._consented = receiver, False
        self._rest_until, self._failures = 0.0, 0
        if receiver is None:
            self._waiting.clear()
            self._held.clear()
        self._woken.set()

    def put(self, mails: Sequence[Mail]) -> None:
        """Takes mail; beyond WAITING_MAX the oldest is given up."""
        for mail in mails:
            if self._dial.take(self.sender.system, "event_lost", self.sender.name):
                self.counts["lost"] += 1
                continue
            if self._dial.take(self.sender.system, "event_out_of_order", self.sender.name):
                self._held.append(mail)
            else:
                self._push(mail, 0, self._steady(), 0.0)
        while len(self._waiting) > WAITING_MAX:
            heapq.heappop(self._waiting)
            self.counts["given_up"] += 1
        self._woken.set()

    def shown(self) -> dict[str, Any]:
        """How it stands, as the control port shows it."""
        names = ("sent", "taken", "refused", "unreached", "lost", "given_up")
        told = {name: self.counts[name] for name in names}
        return {
            "url": self.receiver.url if self.receiver else None,
            "waiting": len(self._waiting) + self._flying,
            "held": len(self._held),
            **told,
            "last_words": self.last_words,
        }

    def _push(self, mail: Mail, tries: int, since: float, pause: float) -> None:
        self._number += 1
        heapq.heappush(self._waiting, (self._steady() + pause, self._number, tries, since, mail))

    async def work(self, client: httpx.AsyncClient) -> None:
        """Delivers what is due, one after the other, for ever."""
        while True:
            self._woken.clear()
            pause = self._pause()
            if pause is None or pause > 0:
                try:
                    await asyncio.wait_for(self._woken.wait(), pause)
                except TimeoutError:
                    continue
                continue
            await self._step(client, self.receiver)

    def _pause(self) -> float | None:
        """Seconds until something is due; None: nothing is waiting."""
        if self.receiver is None or not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] - self._steady(), self._rest_until - self._steady())

    async def _step(self, client: httpx.AsyncClient, receiver: Receiver | None) -> None:
        if receiver is None:
            return
        if not self._consented and not await self._ask(client, receiver):
            return
        _, _, tries, since, mail = heapq.heappop(self._waiting)
        self._flying = 1
        try:
            await self._deliver(client, receiver, mail, tries, since)
        finally:
            self._flying = 0

    async def _deliver(self, client: httpx.AsyncClient, receiver: Receiver, mail: Mail, tries: int, since: float) -> None:
        forged = self._dial.take(self.sender.system, "event_forged", self.sender.name) is not None
        letter = self.sender.letter(self._world(), mail, receiver, forged=forged)
        if letter is None:
            return
        fault = self._dial.take(self.sender.system, "event_duplicate", self.sender.name)
        copies = min(int(fault.options.get("copies", 2)), COPIES_MAX) if fault else 1
        answers = await asyncio.gather(*(self._post(client, receiver, letter) for _ in range(copies)))
        if any(answers):
            self.counts["taken"] += 1
            self._failures, self.last_words = 0, ""
            while self._held:
                self._push(self._held.pop(), 0, since, 0.0)
        elif self._steady() - since > GIVE_UP_AFTER:
            self.counts["given_up"] += 1
        elif self.receiver is not None:
            self._push(mail, tries + 1, since, _pause_after(tries))

    async def _ask(self, client: httpx.AsyncClient, receiver: Receiver) -> bool:
        """Whether the receiver takes this sender's events at all, for the vendors that ask beforehand."""
        question = self.sender.question()
        if question is not None:
            answer = await self._call(client, "OPTIONS", receiver, Letter(b"", question))
            if answer is None:
                return False
            if not self.sender.consented(answer):
                self._rest(f"OPTIONS was answered {answer.status} without consent")
                return False
        self._consented = True
        return True

    async def _post(self, client: httpx.AsyncClient, receiver: Receiver, letter: Letter) -> bool:
        self.counts["sent"] += 1
        answer = await self._call(client, "POST", receiver, letter)
        if answer is None:
            return False
        if self.sender.taken(answer):
            return True
        self.counts["refused"] += 1
        self.last_words = f"answered {answer.status}: {answer.body[:KEPT_WORDS].decode('utf-8', 'replace')}"
        if answer.status >= 500:
            self._rest(self.last_words)
        return False

    async def _call(self, client: httpx.AsyncClient, method: str, receiver: Receiver, letter: Letter) -> Answer | None:
        try:
            got = await client.request(method, receiver.url, content=letter.body, headers=dict(letter.headers))
        except httpx.HTTPError as problem:
            self.counts["unreached"] += 1
            self._rest(f"{type(problem).__name__}: {problem}")
            return None
        return Answer(got.status_code, got.headers, got.content)

    def _rest(self, words: str) -> None:
        """The receiver is not there: everything waits."""
        self.last_words = words
        self._rest_until = self._steady() + _pause_after(self._failures)
        self._failures += 1


def _pause_after(tries: int) -> float:
    return float(min(FIRST_PAUSE * 2 ** min(tries, 10), LONGEST_PAUSE))
