"""Rows, records and questions made for tests, by hand and by Hypothesis."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import PlainRecord
from streams.history.filters import Filter
from streams.history.rows import AUDITED, DEAD, HANDLED, Row, row_of

TENANTS: Final = ("acme", "Acme", "globex")
TYPES: Final = (
    "order.created",
    "order.created.late",
    "order.failed",
    "Order.created",
    "user",
    "user.order.created",
    "",
)
WORDS: Final = ("belt", "Belt", "half", "straße", "STRASSE", "x_y", "a\nb", 'quo"te', "back\\slash", "ΟΔΟΣ", "42")
IDS: Final = ("1", "2", "3", "order-1")
CORRELATIONS: Final = ("", "1", "c-1", "c-2")
BINARIES: Final = Path("/usr/lib/postgresql/15/bin")
POSTGRES_SECONDS_MAX: Final = 60

values = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-3, 3),
    st.sampled_from((0.5, 2.0, -1.0)),
    st.booleans(),
    st.none(),
    st.lists(st.sampled_from(WORDS), max_size=2),
)
documents = st.dictionaries(
    st.sampled_from(("total", "city", "note", "x_y")),
    st.one_of(values, st.dictionaries(st.sampled_from(("total", "city")), values, max_size=2)),
    max_size=3,
)
contents = st.one_of(
    st.none(),
    documents.map(lambda found: json.dumps(found).encode()),
    documents.map(lambda found: json.dumps(found, ensure_ascii=False).encode()),
    st.sampled_from((b"", b"\xff\xfe", b"plain belt text", b"{broken belt", b"\x00belt", b"null")),
)


@st.composite
def rows_(draw: st.DrawFn, *, most: int = 30) -> list[Row]:
    """Draw rows as topics could give them: each place once, many at one time."""
    found = []
    for offset in range(draw(st.integers(0, most))):
        status = draw(st.sampled_from((HANDLED, HANDLED, HANDLED, DEAD, AUDITED)))
        found.append(
            row(
                topic={HANDLED: topics.SIGNALS, DEAD: topics.DEAD_LETTERS, AUDITED: topics.AUDIT}[status],
                lane=draw(st.integers(0, 2)),
                offset=offset + draw(st.sampled_from((0, 1 << 14, 1 << 15))),
                at_ms=1_000 + draw(st.integers(0, 5)),
                tenant=draw(st.sampled_from(TENANTS)),
                type=draw(st.sampled_from(TYPES)),
                id=draw(st.sampled_from(IDS)),
                source=draw(st.sampled_from(("/a", "/b"))),
                subject=draw(st.sampled_from(("", "belt/1", "belt/2"))),
                correlation=draw(st.sampled_from(CORRELATIONS)),
                cause=draw(st.sampled_from(("", *IDS))),
                status=status,
                reason=draw(st.sampled_from((Reason.BUG, Reason.NOT_JSON))).value if status == DEAD else "",
                data=draw(contents),
                cut=draw(st.sampled_from((0, 0, 0, 1))),
            )
        )
    return found


literals = st.one_of(
    st.integers(-3, 3).map(str), st.sampled_from(("0.5", "true", "null")), st.sampled_from(WORDS).map(json.dumps)
)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Draw an expression that is right."""
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(("data.total", "data.city", "data.total.city", "data.note.0", "data.x_y")))
        operator = draw(st.sampled_from(("=", "!=", "contains", "exists", "<", "<=", ">", ">=")))
        if operator == "exists":
            parts.append(f"{path} exists")
        elif operator in {"=", "!=", "contains"}:
            parts.append(f"{path} {operator} {draw(literals)}")
        else:
            parts.append(f"{path} {operator} {draw(st.sampled_from(('0', '1.5', json.dumps('half'))))}")
    return " and ".join(parts)


def _maybe(found: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.none(), found)


filters = st.builds(
    Filter,
    tenant=_maybe(st.sampled_from(TENANTS)),
    since_ms=_maybe(st.integers(999, 1_006)),
    until_ms=_maybe(st.integers(999, 1_006)),
    pattern=_maybe(
        st.sampled_from(
            ("**", "order.*", "order.**", "{order,user}.created", "**.created", "order.created", "*", "user.*.**")
        )
    ),
    subject=_maybe(st.sampled_from(("belt/1", ""))),
    source=_maybe(st.sampled_from(("/a", "/c"))),
    correlation=_maybe(st.sampled_from(CORRELATIONS)),
    status=_maybe(st.sampled_from((HANDLED, DEAD, AUDITED))),
    reason=_maybe(st.sampled_from((Reason.BUG.value, Reason.TOO_LARGE.value))),
    where=_maybe(expressions()),
    text=_maybe(st.sampled_from(("belt", "BELT half", "strasse", "x y", "b", "nothing", "ΟΔΟΣ", "42"))),
)


def row(**more: Any) -> Row:
    """Return a row, plain but for what is named."""
    plain: dict[str, Any] = dict.fromkeys(Row._fields, "")
    plain |= {"topic": topics.SIGNALS, "lane": 0, "offset": 0, "at_ms": 1_000, "entered_ms": 0, "status": HANDLED}
    plain |= {"tenant": "acme", "id": "1", "source": "/a", "type": "order.created", "data": None, "cut": 0}
    return Row(**{**plain, **more})


def signal_record(offset: int, *, lane: int = 0, tenant: str = "acme", at_ms: int = 1_000, **more: Any) -> PlainRecord:
    """Return a record of the topic of admitted signals."""
    event = {"specversion": "1.0", "id": str(offset), "source": "/a", "type": "order.created", "tenantid": tenant}
    value = json.dumps({**event, "correlationid": str(offset), "data": {"number": offset}, **more}).encode()
    headers = (
        ("content-type", b"application/cloudevents+json"),
        (names.CAME, b"%d/%d" % (offset, at_ms - 5)),
        (names.FORMAT, b"2"),
    )
    return PlainRecord(topics.SIGNALS, lane, offset, at_ms, tenant.encode(), value, headers)


def signal_row(offset: int, **more: Any) -> Row:
    """Return the row of such a record."""
    return row_of(topics.SIGNALS, signal_record(offset, **more))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL of Debian's package as an unprivileged user, on a free port of loopback; yield its address."""
    folder = Path(tempfile.mkdtemp(prefix="hopline-postgres-"))
    unprivileged: list[str] = []
    if Path("/proc/self").owner() == "root":
        shutil.chown(folder, "postgres", "postgres")
        unprivileged = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port, data = free_port(), folder / "data"
    server: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(
            [
                *unprivileged,
                str(BINARIES / "initdb"),
                "-D",
                str(data),
                "-U",
                "hopline",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "-N",
            ],
            check=True,
            capture_output=True,
            timeout=POSTGRES_SECONDS_MAX,
            cwd=folder,
        )
        where = ["-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
        small = ["-c", "fsync=off", "-c", "max_connections=20", "-c", "shared_buffers=32MB"]
        server = subprocess.Popen(
            [*unprivileged, str(BINARIES / "postgres"), *where, *small],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        _wait(server, port)
        yield f"postgresql://hopline@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.terminate()
            server.wait(POSTGRES_SECONDS_MAX)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline, pause = time.monotonic() + POSTGRES_SECONDS_MAX, threading.Event()
    asked = [str(BINARIES / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(asked, check=False, capture_output=True, timeout=POSTGRES_SECONDS_MAX).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError("PostgreSQL did not start")
        pause.wait(0.05)
