"""The channels' file: what is wrong is said by field, and a secret never is, wherever it stands."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alerting.notice import Route
from processors.alerting.rule import Severity
from streams.channels import ChannelsError, addresses, load, signing
from tests.streams.channels.receiving import loaded

SECRET: Final = "s3cret-of-sixteen-characters-and-more"  # noqa: S105  # of nobody
HOOK: Final = '[channels.ops]\nkind = "webhook"\nurl = "https://example.com/x"\nsecret_env = "SECRET"\n'
MAIL: Final = (
    '[channels.m]\nkind = "email"\nhost = "mail.example.com"\nfrom = "a@example.com"\nto = ["b@example.com"]\n'
)


def test_a_channel_is_what_its_table_says(tmp_path: Path) -> None:
    more = 'severities = ["critical"]\nalerts = ["Lag*", "HopSlow"]\ntenants = ["acme"]\ngroup_by = ["hop"]\n'
    more += "group_wait_seconds = 1.5\ngroup_interval_seconds = 7\nrepeat_seconds = 60\n"
    more += "attempts_max = 3\nresolved = false\n"
    (channel,) = loaded(tmp_path, HOOK + more, SECRET=SECRET)
    assert (channel.name, channel.kind, channel.sender.address) == ("ops", "webhook", "https://example.com")
    assert channel.route == Route(frozenset({Severity.CRITICAL}), ("Lag*", "HopSlow"), frozenset({"acme"}))
    pace = channel.pace
    assert (pace.group_by, pace.group_wait_ms, pace.group_interval_ms) == (("hop",), 1_500, 7_000)
    assert (pace.repeat_ms, pace.attempts_max, pace.tells_resolved, pace.heeds_silences) == (60_000, 3, False, True)


def test_a_secret_stands_in_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n", encoding="utf-8")
    text = HOOK.replace('secret_env = "SECRET"', 'secret_file = "key"')
    assert loaded(tmp_path, text)[0].name == "ops"
    assert load("", application="x") == ()
    assert loaded(tmp_path, "") == ()


@pytest.mark.parametrize(
    "text,says",
    [
        (HOOK + f'secret = "{SECRET}"\n', "channels.ops.secret: is not written in here: use secret_file or secret_env"),
        (HOOK.replace("secret_env", "secret_file"), "channels.ops.secret_file: cannot be read: No such file"),
        (HOOK.replace('"SECRET"', f'"{SECRET}"'), "channels.ops.secret_env: the environment has no variable of that"),
        (HOOK.replace('"SECRET"', '"SHORT"'), "channels.ops.secret: is shorter than 16 bytes"),
        (HOOK.replace('"SECRET"', '"ODD"'), "channels.ops.secret: begins with whsec_ and is no base64"),
        (HOOK.replace('secret_env = "SECRET"\n', ""), "channels.ops: secret: give one of secret_file, secret_env"),
        (HOOK + 'url_env = "URL"\n', "channels.ops: url: give one of url, url_file, url_env"),
        (HOOK.replace("https://", "ftp://"), "channels.ops.url: must begin with http:// or https://"),
        (HOOK.replace("https://", f"https://ops:{SECRET}@"), "channels.ops.url: must not contain a user or a password"),
        (HOOK.replace("webhook", "carrier-pigeon"), "channels.ops.kind: must be webhook, slack, email,"),
        ("[channels.ops]\n", "channels.ops.kind: must be webhook"),
        (HOOK + 'alerts = ["lag high"]\n', "channels.ops.alerts.0: must be an alert's name"),
        (HOOK + 'severities = ["grave"]\n', "channels.ops.severities.0: Input should be"),
        (HOOK + 'tenants = ["_system"]\n', "channels.ops.tenants.0: is no tenant's name"),
        (HOOK + "timeout_seconds = 0\n", "channels.ops.timeout_seconds: Input should be greater than or equal to 0.1"),
        (HOOK + "more = 1\n", "channels.ops.more: is not known here"),
        (HOOK + 'ca_file = "none.pem"\n', "channels.ops.ca_file: there is no file"),
        (HOOK.replace("channels.ops", "channels.Ops"), "channels.Ops: must be called by small letters"),
        (HOOK.replace("channels.ops", "channels.console"), "the console is always there"),
        (
            '[channels.s]\nkind = "slack"\nurl = "https://hooks.example.com/T0"\n',
            "channels.s.url: is not written in here",
        ),
        ('[channels.s]\nkind = "slack"\nurl_env = "NO_URL"\n', "channels.s.url: must begin with http:// or https://"),
        (MAIL + 'username = "ops"\n', "channels.m: username: goes together with password_file or password_env"),
        (
            MAIL + 'username = "o"\ntls = "none"\npassword_env = "SECRET"\n',
            "channels.m: tls: a password is not sent in",
        ),
        (MAIL.replace("b@example.com", "b@example.com\\nBcc: x"), "channels.m.to.0: is no e-mail address"),
        ("channels = 7\n", "channels: Input should be a valid dictionary"),
        ("other = 7\n", "other: is not known here"),
        ("[[", "is no TOML"),
        ('runbooks = "file:///etc"\n', "runbooks: must begin with http:// or https://"),
    ],
)
def test_what_is_wrong_is_said_by_field_and_secrets_are_not(tmp_path: Path, text: str, says: str) -> None:
    secrets = {"SECRET": SECRET, "SHORT": "short-one", "ODD": "whsec_no-base64-at-all!", "NO_URL": f"gopher://{SECRET}"}
    with pytest.raises(ChannelsError) as raised:
        loaded(tmp_path, text, URL="https://example.com", **secrets)
    assert says in str(raised.value)
    assert str(tmp_path / "channels.toml") in str(raised.value)
    for secret in secrets.values():
        assert secret not in str(raised.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = HOOK + MAIL + 'username = "ops"\npassword_env = "ALSO_NOT"\n'
    with pytest.raises(ChannelsError, match=r"ops\.secret_env.*; channels\.m\.password_env"):
        loaded(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_or_too_long(tmp_path: Path) -> None:
    with pytest.raises(ChannelsError, match=r"none\.toml: cannot be read: No such file"):
        load(str(tmp_path / "none.toml"), application="x")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ChannelsError, match="it is no text"):
        load(str(tmp_path / "odd.toml"), application="x")
    (tmp_path / "long.toml").write_text("#" * 300_000, encoding="utf-8")
    with pytest.raises(ChannelsError, match="longer than"):
        load(str(tmp_path / "long.toml"), application="x")


@given(st.text(max_size=40) | st.from_regex(r"https?://[a-z@:#/\[\]0-9.]{0,20}", fullmatch=True))
def test_what_is_an_address_goes_to_http_and_shows_no_path(text: str) -> None:
    try:
        parts = addresses.split(text)
    except ValueError:
        return
    assert parts.scheme in {"http", "https"}
    shown = addresses.shown(text)
    assert shown.count("/") == 2
    assert "@" not in shown
    assert shown == addresses.shown(f"{parts.scheme}://{parts.netloc}"), "nothing of the path and what follows"
    assert all(secret in text for secret in addresses.secrets_of(text))


def test_a_signature_is_the_standards_own_example() -> None:
    key = signing.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signing.headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
