"""Thresholds and silences from the page: the right directive, once, and what became of it field by field."""

from selenium.webdriver.support.ui import Select

from streams.gateway.directives import Wish
from tests.console import answers
from tests.console.browser import Page
from tests.console.serving import Canned, problem

RULE = "[data-rule=LagHigh]"


def _open(page: Page) -> None:
    page.open("#/alerts")
    page.find(f"{RULE} .button").click()
    page.find(f"{RULE} form")


def _fill(page: Page, name: str, text: str, where: str = RULE) -> None:
    field = page.find(f"{where} [name={name}]")
    field.clear()
    field.send_keys(text)


def test_a_threshold_is_moved_and_the_rule_shows_it(page: Page, api: Canned) -> None:
    _open(page)
    _fill(page, "value", "12,5")
    moved = answers.rules()
    moved["rules"][1]["effective"] = 12.5
    api.instead["/v1/alerts/rules"] = lambda: (200, moved)
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "Done")
    (sent,) = api.directives
    assert sent["body"] == {
        "name": "hopline.alert.threshold.set",
        "tenant": "_system",
        "data": {"alert": "LagHigh", "value": 12.5},
    }
    assert sent["type"] == "application/json"
    assert sent["prefer"] == "wait=10"
    assert len(sent["key"]) == 32
    page.expect(f"{RULE} .rule-effective", "> 12.5 s")
    assert page.find(f"{RULE} .outcome").get_attribute("data-how") == "good", "the form is still there"


def test_the_gateway_knows_what_is_sent(page: Page, api: Canned) -> None:
    _open(page)
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "Done")
    assert set(api.directives[0]["body"]) <= set(Wish.__struct_fields__)


def test_a_tenant_gets_one_of_its_own(page: Page, api: Canned) -> None:
    _open(page)
    _fill(page, "value", "90")
    _fill(page, "tenant", "acme")
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "Done")
    assert api.directives[0]["body"]["tenant"] == "acme"


def test_a_moved_one_goes_back_to_the_default(page: Page, api: Canned) -> None:
    _open(page)
    _fill(page, "value", "not even a number")
    page.all(f"{RULE} form .button")[-1].click()
    page.expect(f"{RULE} .outcome", "Done")
    assert api.directives[0]["body"]["data"] == {"alert": "LagHigh", "value": None}


def test_a_rule_over_all_tenants_asks_for_none(page: Page, api: Canned) -> None:
    found = answers.rules()
    found["rules"][1] |= {"per_tenant": False, "effective": 30.0, "overrides": [{"tenant": "", "value": 30.0}]}
    api.instead["/v1/alerts/rules"] = lambda: (200, found)
    _open(page)
    assert not page.all(f"{RULE} [name=tenant]")
    assert [button.text for button in page.all(f"{RULE} form .button")] == ["Move the threshold", "Close"]
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "Done")
    assert api.directives[0]["body"]["tenant"] == "_system"


def test_what_is_no_number_is_not_sent(page: Page, api: Canned) -> None:
    _open(page)
    for text in ("much", "", "1e999"):
        _fill(page, "value", text)
        page.find(f"{RULE} [type=submit]").click()
        page.expect(f"{RULE} .form-error", "must be a number")
        assert page.find(f"{RULE} [name=value]").get_attribute("aria-invalid") == "true"
        assert page.script("return document.activeElement.name") == "value"
    assert not api.directives


def test_what_is_wrong_is_said_at_its_field_and_the_rest_below(page: Page, api: Canned) -> None:
    api.directive_answer = lambda: problem(
        400,
        "invalid_directive",
        "Nothing was asked for; `problems` says field by field what to mend.",
        ("data.value", "must be at most 1000000000"),
        ("tenant", "is no tenant's name"),
        ("data.other", "is odd"),
    )
    _open(page)
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "Nothing was asked for")
    page.expect(f"{RULE} .outcome", "data.other: is odd")
    errors = [error.text for error in page.all(f"{RULE} .form-error")]
    assert errors == ["must be at most 1000000000", "is no tenant's name"]
    assert page.find(f"{RULE} .outcome").get_attribute("data-how") == "bad"


def test_a_refusal_is_told_in_the_gateways_words(page: Page, api: Canned) -> None:
    api.directive_answer = lambda: problem(403, "permission_lacking", "key:hop_1 lacks the permission alert:write.")
    _open(page)
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "lacks the permission alert:write")
    api.directive_answer = lambda: (200, {"status": "rejected", "error": "there is no alert of this name"})
    page.find(f"{RULE} [type=submit]").click()
    page.expect(f"{RULE} .outcome", "It was rejected: there is no alert of this name")


def test_sent_again_after_a_failure_it_is_the_same_wish_and_later_a_new_one(page: Page, api: Canned) -> None:
    api.directive_answer = lambda: problem(503, "kafka_away", "Kafka is away.")
    _open(page)
    submit = page.find(f"{RULE} [type=submit]")
    submit.click()
    page.expect(f"{RULE} .outcome", "it stays one change")
    api.directive_answer = lambda: (202, {"status": "accepted"})
    submit.click()
    page.expect(f"{RULE} .outcome", "has not ended")
    api.directive_answer = lambda: (200, {"status": "succeeded"})
    submit.click()
    page.expect(f"{RULE} .outcome", "Done")
    assert len({sent["key"] for sent in api.directives}) == 1
    submit.click()
    page.until(lambda: len(api.directives) == 4)
    assert len({sent["key"] for sent in api.directives}) == 2
    page.expect(f"{RULE} .outcome", "Done")
    _fill(page, "value", "77")
    submit.click()
    page.until(lambda: len(api.directives) == 5)
    assert len({sent["key"] for sent in api.directives}) == 3


def test_two_presses_are_one_request(page: Page, api: Canned) -> None:
    api.delay_seconds = 0.7
    _open(page)
    page.script(
        "const b = document.querySelector(arguments[0]); b.click(); b.click(); b.click()", f"{RULE} [type=submit]"
    )
    page.expect(f"{RULE} .outcome", "Done")
    assert len(api.directives) == 1


def test_an_alert_is_silenced_where_it_stands(page: Page, api: Canned) -> None:
    page.open("#/alerts")
    card = "[data-alert=DeadLetters]"
    page.find(f"{card} .button").click()
    page.find(f"{card} [type=submit]").click()
    page.expect(f"{card} .form-error", "")
    page.until(lambda: "say why" in page.text(f"{card} form"))
    assert not api.directives
    _fill(page, "why", "we know", card)
    Select(page.find(f"{card} select")).select_by_visible_text("4 hours")
    page.find(f"{card} [type=submit]").click()
    page.expect(f"{card} .outcome", "Done")
    assert api.directives[0]["body"] == {
        "name": "hopline.alert.silence",
        "tenant": "acme",
        "data": {"alert": "DeadLetters", "minutes": 240, "why": "we know"},
    }


def test_an_alerts_threshold_button_leads_to_its_rule(page: Page) -> None:
    page.open("#/alerts")
    page.find("[data-rule=HopSlow]")
    page.all("[data-alert=HopSlow] .button")[1].click()
    page.until(lambda: page.script("return document.activeElement.name") == "value")
    assert page.find("[data-rule=HopSlow] form").is_displayed()
    # The form outlives the answers that come meanwhile.
    _fill(page, "value", "0.75", "[data-rule=HopSlow]")
    age = page.text("#connection-age")
    page.until(lambda: page.text("#connection-age") != age)
    assert page.find("[data-rule=HopSlow] [name=value]").get_property("value") == "0.75"
