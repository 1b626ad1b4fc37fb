"""The treasury tenant's process templates, bank balances, details and transfers on the wire, at both styles of address."""

from __future__ import annotations

import io
import time
import zipfile
from typing import Any

import httpx
import pytest

from tests.unit.sandbox.conftest import Box, Treasury


def ended(treasury: Treasury, template: str = "E_BK_CAMT053") -> tuple[str, list[str]]:
    """Runs a template and waits for its end: the task and what its status said on the way."""
    task = treasury.call("POST", f"process-templates/{template}/run").json()[0]["taskId"]
    said: list[str] = []
    for _ in range(200):
        words = treasury.call("GET", f"process-templates/{task}/status").json()["status"]
        said += [words] if said[-1:] != [words] else []
        if words not in ("Pending", "In progress"):
            return task, said
        time.sleep(0.05)
    raise AssertionError("the task does not end")


def files(treasury: Treasury, task: str, template: str = "E_BK_CAMT053") -> dict[str, bytes]:
    """The members of the archive that a task made."""
    answer = treasury.call("GET", f"process-templates/{template}/files", params={"taskId": task})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_task_takes_its_time_and_hands_out_files(box: Box) -> None:
    """Pending, in progress, complete; before that there is no file; a day's file is the same whenever it is made."""
    treasury = box.kyriba()
    task = treasury.call("POST", "process-templates/E_BK_CAMT053/run").json()[0]["taskId"]
    assert treasury.call("GET", "process-templates/E_BK_CAMT053/files", params={"taskId": task}).status_code == 404
    first, said = ended(treasury)
    assert said == ["Pending", "In progress", "Complete"]
    made = files(treasury, first)
    assert len(made) >= 6
    assert all(b"camt.053.001.04" in body and body.count(b"<Stmt>") == 3 for body in made.values())
    again, _ = ended(treasury)
    assert files(treasury, again) == made
    assert files(treasury, ended(treasury, "E_BK_MT940")[0], "E_BK_MT940").keys() == {
        name.replace("camt053", "mt940").replace(".xml", ".sta") for name in made
    }


@pytest.mark.parametrize("how", ["Error", "Cancelled", "Warning"])
def test_a_task_ends_as_the_dial_says(box: Box, how: str) -> None:
    """The log says why; only a warning hands out files."""
    treasury = box.kyriba()
    box.fault("kyriba", "task_ends", how=how, times=1)
    task, said = ended(treasury)
    assert said[-1] == how
    log = treasury.call("GET", f"process-templates/{task}/details").json()
    assert len(log["logs"]) == 2
    found = treasury.call("GET", "process-templates/E_BK_CAMT053/files", params={"taskId": task})
    assert found.status_code == (200 if how == "Warning" else 404)


def test_a_slow_task_is_in_progress(box: Box) -> None:
    """For as long as the dial says."""
    treasury = box.kyriba()
    box.fault("kyriba", "slow_task", takes=30, times=1)
    task = treasury.call("POST", "process-templates/E_BK_CAMT053/run").json()[0]["taskId"]
    assert treasury.call("GET", f"process-templates/{task}/status").json() == {"status": "Pending", "subTasks": []}


@pytest.mark.parametrize("path", ["process-templates/NOWHERE/run", "process-templates/x/status", "process-templates/x/details"])
def test_what_is_not_there_is_404(box: Box, path: str) -> None:
    """An unknown template or task, as an API error."""
    answer = box.kyriba().call("POST" if path.endswith("run") else "GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")


def test_both_styles_of_address_are_one_tenant(box: Box) -> None:
    """The API and its tokens at hosts of their own: the same token, the same records."""
    known = box.running.system("kyriba")
    origin = known["auth_url"].removesuffix("/gateway/oauth/token")
    answer = box.http.post(
        f"{origin}/oauth/token", auth=(known["client_id"], known["client_secret"]), data={"grant_type": "client_credentials"}
    )
    assert answer.json()["access_token"] == box.kyriba().token
    other = Treasury(box.http, f"{origin}/api", answer.json()["access_token"])
    assert other.call("GET", "accounts").json()["results"] == box.kyriba().call("GET", "accounts").json()["results"]


def details(treasury: Treasury, refs: Any) -> httpx.Response:
    """The answer to a question for accounts' details."""
    return treasury.call("POST", "accounts/details", json={"refs": refs})


def test_details_of_accounts_come_by_the_hundred(box: Box) -> None:
    """By code or UUID; more than a hundred, or none, is refused by name."""
    treasury = box.kyriba()
    known = treasury.call("GET", "accounts").json()["results"]
    found = details(treasury, [{"code": known[0]["code"]}, {"uuid": known[1]["uuid"]}]).json()["results"]
    assert [each["code"] for each in found] == [known[0]["code"], known[1]["code"]]
    assert found[0]["bankAccountID"]["value"]
    refused: list[Any] = [[], [{"code": "x"}] * 101, "DE01-EUR", [{}]]
    for wrong in refused:
        answer = details(treasury, wrong)
        assert (answer.status_code, answer.json()["error"]["target"]) == (400, "refs")


def test_a_bank_balance_says_of_which_day_it_is(box: Box) -> None:
    """A weekend repeats Friday's; today is known intraday only; another kind is refused."""
    treasury, path = box.kyriba(), "bank-balances/accounts/US01-USD/balances"
    saturday = treasury.call("GET", path, params={"date": "2026-11-21", "type": "END_OF_DAY"}).json()["bankBalance"]
    assert (saturday["balanceDate"], saturday["lastKnownBalanceDate"]) == ("2026-11-21", "2026-11-20")
    today = str(box.running.world.now.date())
    assert treasury.call("GET", path, params={"date": today, "type": "INTRADAY"}).json()["bankBalance"]["balanceDate"] == today
    assert treasury.call("GET", path, params={"date": "2026-11-20", "type": "INTRADAY"}).status_code == 404
    assert treasury.call("GET", path, params={"date": today, "type": "MONTHLY"}).json()["error"]["target"] == "type"


def test_a_transfer_is_found_by_its_reference(box: Box) -> None:
    """As the status is asked for: bare, in quotes, with a wildcard; what went out was batched before."""
    treasury, path = box.kyriba(), "payment/transfers/status"
    every = treasury.call("GET", path, params={"page.limit": 1000}).json()["results"]
    kinds = {each["status"] for each in every}
    assert "TRANSMITTED" in kinds <= {"REGISTERED", "TRANSMITTED"}  # at some hours none waits for its batch
    assert all(each["remittance"]["status"] == "TRANSMITTED" for each in every if each["status"] == "TRANSMITTED")
    one = every[0]["reference"]
    for value in (one, f"'{one}'", f"{one[:-1]}*"):
        found = treasury.call("GET", path, params={"filter": f"reference=={value}"}).json()["results"]
        assert one in [each["reference"] for each in found]


@pytest.mark.parametrize(
    "text", ["", "reference", "reference==", "reference=in=a", "(reference==a", "nothing==1", "reference==a b", "updateDateTime=ge=soon"]
)
def test_a_filter_that_is_none_is_refused(box: Box, text: str) -> None:
    """Except for an empty one, which is none."""
    answer = box.kyriba().call("GET", "cash-flows", params={"filter": text})
    assert answer.status_code == (200 if not text else 400)
    assert not text or answer.json()["error"]["code"] == "InvalidFilter"


def test_filters_are_joined(box: Box) -> None:
    """And before or, brackets before both, several values at once."""
    treasury = box.kyriba()

    def count(text: str) -> int:
        return int(treasury.call("GET", "cash-flows", params={"filter": text}).json()["metadata"]["numberOfTotalResults"])

    actual, firm = count("status==ACTUAL"), count("status==CONFIRMED")
    assert count("status==ACTUAL,status==CONFIRMED") == count("status=in=(ACTUAL,'CONFIRMED')") == actual + firm
    assert count("(status==ACTUAL,status==CONFIRMED);account.code==DE01-EUR") == count(
        "status==ACTUAL;account.code==DE01-EUR,status==CONFIRMED;account.code==DE01-EUR"
    )
