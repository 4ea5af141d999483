"""Children are kept running, given up with a reason, and stopped within a bounded time."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from streams.cli import children
from streams.cli.children import GuardedChild, Keeper, PlainChild, Program
from streams.cli.errors import CommandError

SECONDS_MAX = 30
LOOK_SECONDS = 0.01
WAITS = "import signal; signal.pause()"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "BACKOFF_SECONDS_MIN", 0.01)
    monkeypatch.setattr(children, "BACKOFF_SECONDS_MAX", 0.02)
    monkeypatch.setattr(children, "SPARE_SECONDS", 0.02)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def program(code: str) -> Program:
    return Program("it", ("-c", code), os.environ)


def keeper(code: str, told: list[str], *, may_end: bool = False, spare: bool = False) -> Keeper:
    one = program(code)
    return Keeper(one, partial(PlainChild.start, one), tell=told.append, may_end=may_end, spare=spare)


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not there():  # noqa: ASYNC110  # a file tells nobody of it
            await asyncio.sleep(LOOK_SECONDS)


async def until_running(one: Keeper, *, other_than: int | None = None) -> int:
    async with asyncio.timeout(SECONDS_MAX):
        while one.pid in {None, other_than}:  # noqa: ASYNC110  # the system tells nobody of it
            await asyncio.sleep(LOOK_SECONDS)
    assert one.pid is not None
    return one.pid


async def test_one_that_dies_is_started_again_and_said_to_be() -> None:
    told: list[str] = []
    one = keeper(WAITS, told)
    one.begin()
    first = await until_running(one)
    psutil.Process(first).kill()
    second = await until_running(one, other_than=first)
    assert told == ["it ended (killed by SIGKILL); it is started again in 0.0 s"]
    await one.stop()
    assert not psutil.pid_exists(second)


async def test_one_that_goes_on_dying_is_given_up() -> None:
    told: list[str] = []
    one = keeper("raise SystemExit(1)", told)
    one.begin()
    with pytest.raises(CommandError, match=r"8 times in a row \(exit code 1\)"):
        await asyncio.wait_for(one.task, SECONDS_MAX)
    assert len(told) == children.FAILURES_MAX - 1


async def test_one_that_says_that_its_settings_are_wrong_is_not_started_again() -> None:
    one = keeper("raise SystemExit(2)", [])
    one.begin()
    with pytest.raises(CommandError, match="exit code 2"):
        await asyncio.wait_for(one.task, SECONDS_MAX)


async def test_one_that_others_do_without_is_left_down_and_tried_again_until_its_settings_are_mended(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    wrong, starts, up = tmp_path / "wrong", tmp_path / "starts", tmp_path / "up"
    checks = f"open({str(starts)!r}, 'a').write('.'); os.path.exists({str(wrong)!r}) and exit(2)"
    one = keeper(f"import os; {checks}; open({str(up)!r}, 'w'); {WAITS}", told, spare=True)
    one.begin()
    await until(up.exists)
    up.unlink()
    wrong.touch()
    psutil.Process(await until_running(one)).kill()
    await until(lambda: len(starts.read_bytes()) > 3)
    assert not one.task.done()
    assert [line.splitlines()[0] for line in told[1:]] == ["error: it ended 2 times in a row (exit code 2)"]
    assert "all else goes on without it" in told[1]
    wrong.unlink()
    await until(up.exists)
    await one.stop()


async def test_one_that_others_do_without_may_go_on_dying() -> None:
    told: list[str] = []
    one = keeper("raise SystemExit(1)", told, spare=True)
    one.begin()
    await until(lambda: "all else goes on" in "".join(told))
    assert await until_running(one)
    assert not one.task.done()
    await one.stop()


async def test_one_that_others_do_without_ends_all_if_its_settings_are_wrong_when_all_is_started() -> None:
    one = keeper("raise SystemExit(2)", [], spare=True)
    one.begin()
    with pytest.raises(CommandError, match="exit code 2"):
        await asyncio.wait_for(one.task, SECONDS_MAX)


async def test_one_that_may_end_is_let_go() -> None:
    one = keeper("", [], may_end=True)
    one.begin()
    await asyncio.wait_for(one.task, SECONDS_MAX)
    assert one.pid is None


async def test_one_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STOP_SECONDS_MAX", 0.2)
    stubborn = "import signal, sys; signal.signal(15, signal.SIG_IGN); signal.pause()"
    child = await PlainChild.start(program(stubborn))
    async with asyncio.timeout(SECONDS_MAX):
        await child.stop()
        assert await child.wait() < 0


async def test_a_guarded_child_writes_to_its_log_and_holds_the_lock(tmp_path: Path, lock: int) -> None:
    log = tmp_path / "logs" / "it.log"
    holds = f"import os; os.fstat({lock}); print('said', flush=True); {WAITS}"
    child = await GuardedChild.start(program(holds), log, lock)
    async with asyncio.timeout(SECONDS_MAX):
        while not log.read_bytes():  # noqa: ASYNC110  # a file tells nobody of it
            await asyncio.sleep(LOOK_SECONDS)
    assert log.read_text() == "said\n"
    assert psutil.Process(child.pid).cmdline()[0] == sys.executable
    async with asyncio.timeout(SECONDS_MAX):
        await child.stop()
    assert not psutil.pid_exists(child.pid)


async def test_the_last_words_of_a_guarded_child_are_told(tmp_path: Path, lock: int) -> None:
    log = tmp_path / "it.log"
    one = program("print('no such setting'); raise SystemExit(2)")
    kept = Keeper(one, partial(GuardedChild.start, one, log, lock), tell=print, log=log)
    kept.begin()
    with pytest.raises(CommandError, match="no such setting"):
        await asyncio.wait_for(kept.task, SECONDS_MAX)
