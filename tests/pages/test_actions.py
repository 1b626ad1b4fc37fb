"""From a click to exactly one command, and to its receipt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from app.fake import FakeDesk
from tests.pages.conftest import all_text

Open = Callable[..., AppTest]


def test_replay_of_everything_that_the_filter_selects(open_page: Open) -> None:
    """Replay with nothing selected sends one command with the filter, not with the rows of this page."""
    desk = FakeDesk("full", "operator")
    page = open_page("exceptions", desk, cause="unknown_customer")
    page.button("exceptions.replay").click().run()
    assert desk.submitted == []
    assert "10,214" in all_text(page)
    page.text_area("act.reason").set_value("customer created").run()
    page.button("act.submit").click().run()
    (intent,) = desk.submitted
    assert intent.kind == "replay_exceptions"
    assert intent.payload == {"filter": {"state": "open", "cause": "unknown_customer"}, "canary": True}
    assert intent.reason == "customer created"
    assert page.query_params["receipt"] == "1"
    assert "Replay" in all_text(page)


def test_a_rerun_sends_nothing_more(open_page: Open) -> None:
    """After the command is sent, running the page again sends nothing, and the receipt goes on to done."""
    desk = FakeDesk("full", "operator")
    page = open_page("exceptions", desk, id="1003")
    page.button("exception.acknowledge").click().run()
    page.button("act.submit").click().run()
    for _ in range(4):
        page.run()
    assert len(desk.submitted) == 1
    assert desk.submitted[0].payload == {"ids": [1003]}
    assert "1 of 1 done" in "".join(str(element.proto.text) for element in page.get("progress"))


def test_the_key_is_minted_when_the_form_opens(open_page: Open) -> None:
    """A form keeps its idempotency key over reruns; the next form has another one."""
    desk = FakeDesk("full", "operator")
    page = open_page("exceptions", desk, id="1003")
    page.button("exception.acknowledge").click().run()
    first = page.session_state["tidegate.form"].key
    page.run()
    assert page.session_state["tidegate.form"].key == first
    page.button("act.cancel").click().run()
    assert desk.submitted == []
    page.button("exception.acknowledge").click().run()
    assert page.session_state["tidegate.form"].key != first


def test_dismissal_needs_a_reason(open_page: Open) -> None:
    """Dismissing without a reason asks for one and sends nothing."""
    desk = FakeDesk("full", "operator")
    page = open_page("exceptions", desk, id="1003")
    page.button("exception.dismiss").click().run()
    page.button("act.submit").click().run()
    assert desk.submitted == []
    assert page.warning
    page.text_area("act.reason").set_value("waits for the bank").run()
    page.button("act.submit").click().run()
    assert [intent.kind for intent in desk.submitted] == ["dismiss"]
    assert desk.submitted[0].payload["until"] == "2026-11-30T00:00:00+00:00"


def test_edit_sends_only_what_was_changed(open_page: Open) -> None:
    """Edit and replay carries the changed fields alone, and needs a change and a reason."""
    desk = FakeDesk("full", "operator")
    page = open_page("exceptions", desk, id="1003")
    page.button("exception.edit").click().run()
    page.text_area("act.reason").set_value("wrong customer in the ERP").run()
    page.button("act.submit").click().run()
    assert desk.submitted == []
    page.text_input("act.edit.SoldToParty").set_value("17100003").run()
    page.button("act.submit").click().run()
    assert desk.submitted[0].payload == {"id": 1003, "changes": {"SoldToParty": "17100003"}}


def test_a_case_is_decided_with_a_reason(open_page: Open) -> None:
    """Rejecting a held order needs a reason and sends one decision."""
    desk = FakeDesk("full", "operator")
    page = open_page("exposure", desk)
    page.button("exposure.case.7").click().run()
    page.button("act.reject").click().run()
    assert desk.submitted == []
    page.text_area("act.reason").set_value("guarantee has run out").run()
    page.button("act.reject").click().run()
    assert [(intent.kind, intent.payload) for intent in desk.submitted] == [("resolve_case", {"case_id": 7, "approve": False})]


def test_an_order_is_asked_to_be_blocked_again(open_page: Open) -> None:
    """The dialog tells order, customer, amount and what the ERP will do; without a reason nothing is sent, with one one request is."""
    desk = FakeDesk("full", "operator")
    page = open_page("exposure", desk, order="sap-emea/4500001876")
    page.button("exposure.order.4500001876.block_order").click().run()
    told = all_text(page).replace("\\", "")
    for words in ("4500001876 in sap-emea", "Harrow & Pike Ltd", "127,500.00 GBP", "sets the delivery block of order 4500001876 again"):
        assert words in told
    page.button("act.submit").click().run()
    assert desk.submitted == []
    page.text_area("act.reason").set_value("standstill agreement").run()
    page.button("act.submit").click().run()
    (intent,) = desk.submitted
    assert (intent.kind, intent.reason) == ("request_order_change", "standstill agreement")
    assert intent.payload == {"source": "sap-emea", "order": "4500001876", "change": "block_order"}
    page.run()
    assert "Block order 4500001876 again: waits for another person's approval" in all_text(page).replace("\\", "")


def test_an_order_is_asked_about_on_its_journey_too(open_page: Open) -> None:
    """The journey shows its order with the same buttons; a leader sees the order and none of them."""
    desk = FakeDesk("full", "operator")
    page = open_page("journeys", desk, number="90000003")
    page.button("journeys.order.4500001802.reject_order").click().run()
    page.text_area("act.reason").set_value("wrong terms").run()
    page.button("act.submit").click().run()
    assert [intent.payload["change"] for intent in desk.submitted] == ["reject_order"]
    seen = open_page("journeys", FakeDesk("full", "leader"), number="90000003")
    assert "Order 4500001802" in all_text(seen)
    assert not any("order" in str(button.key) for button in seen.button)


def test_an_order_that_is_blocked_is_not_blocked_again(open_page: Open) -> None:
    """Its button is missing; the others are there. An order in an old address that nobody knows says so."""
    page = open_page("exposure", FakeDesk("full", "operator"), order="sap-latam/4500001877")
    keys = {str(button.key).rpartition(".")[2] for button in page.button if ".order." in str(button.key)}
    assert keys == {"approve_order", "reject_order"}
    gone = open_page("exposure", FakeDesk("full", "operator"), order="sap-emea/1")
    assert "There is no order 1 of sap-emea that you may see." in all_text(gone).replace("\\", "")


def test_whoever_asked_has_no_button_to_decide(open_page: Open) -> None:
    """The case says that another person decides; to the others it offers the decision."""
    asked = open_page("exposure", FakeDesk("full", "operator"))
    assert "exposure.case.8" in {button.key for button in asked.button}
    desk = FakeDesk("full", "operator")
    desk._person = dataclasses.replace(desk.person, subject="analyst")
    page = open_page("exposure", desk)
    assert "exposure.case.8" not in {button.key for button in page.button}
    assert "You asked for it: another person decides" in all_text(page)


def test_a_connection_is_run_once(open_page: Open) -> None:
    """Run now asks, then sends one command for the connection."""
    desk = FakeDesk("full", "operator")
    page = open_page("connections", desk, connection="sap-apac")
    page.button("connections.run").click().run()
    page.button("act.submit").click().run()
    assert [(intent.kind, intent.payload) for intent in desk.submitted] == [("run_now", {"connection": "sap-apac"})]


def test_a_connection_is_tested_and_its_findings_appear_line_by_line(open_page: Open) -> None:
    """Test asks, sends one command that reads nothing in, and the receipt says what is well and what is missing while it runs."""
    desk = FakeDesk("full", "operator")
    page = open_page("connections", desk, connection="sap-apac")
    page.button("connections.test").click().run()
    page.button("act.submit").click().run()
    assert [(intent.kind, intent.payload) for intent in desk.submitted] == [("test_connection", {"connection": "sap-apac"})]
    told = all_text(page).replace("\\", "")
    assert "configuration: sap_s4 in APAC, secrets found" in told.replace("*", "")
    assert "ask the administrator to release it" not in told
    for _ in range(4):
        page.run()
    told = all_text(page).replace("\\", "")
    assert "not well" in told
    assert "ask the administrator to release it" in told
    assert len(desk.submitted) == 1


def test_who_may_only_read_has_no_buttons(open_page: Open) -> None:
    """An auditor sees the queue and the connections, and nothing to press that commands."""
    desk = FakeDesk("full", "auditor")
    for slug, params in (("exceptions", {}), ("exceptions", {"id": "1003"}), ("connections", {"connection": "sap-apac"}), ("exposure", {})):
        page = open_page(slug, desk, **params)
        keys = {button.key for button in page.button}
        assert not keys & {
            "exceptions.replay",
            "exception.replay",
            "exception.edit",
            "connections.run",
            "connections.test",
            "exposure.case.7",
        }


def test_filters_write_the_address(open_page: Open) -> None:
    """Choosing a filter puts it into the address and goes back to the first page of the table."""
    page = open_page("exceptions", FakeDesk("full", "operator"), page="2")
    page.selectbox("exceptions.connection").select("sap-na").run()
    assert page.query_params["connection"] == "sap-na"
    assert "page" not in page.query_params
    page.button("exceptions.clear").click().run()
    assert "connection" not in page.query_params


def test_the_queue_moves_from_one_to_the_next(open_page: Open) -> None:
    """Next opens the following exception of the queue's page, Back returns to the queue."""
    page = open_page("exceptions", FakeDesk("full", "operator"), id="1003")
    page.button("exception.next").click().run()
    assert page.query_params["id"] == "1004"
    page.button("exception.back").click().run()
    assert "id" not in page.query_params


def test_what_if_asks_and_stores_nothing(open_page: Open) -> None:
    """What-if answers with reasons and sends no command."""
    desk = FakeDesk("full", "analyst")
    page = open_page("exposure", desk)
    page.number_input("exposure.what_if.amount").set_value(900_000)
    page.button("exposure.what_if.ask").click().run()
    assert "would be held" in all_text(page)
    assert desk.submitted == []
