"""Run the lanes that are ours: take each over, turn it, retake it after errors, let it go in good order."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from processors.position import UnreadableFormatError
from streams import logs
from streams.lanes.owner import LaneOwner
from streams.lanes.ports import LaneLostError, OutcomeUnknownError

log = logging.getLogger(__name__)

RELEASE_SECONDS_MAX: Final = 6.0
"""A batch in flight may end; then the lane is let go whatever it does (its next owner fences it)."""
BACKOFF_SECONDS: Final = (0.1, 0.3, 1.0, 2.0)
SETTLED_SECONDS: Final = 3.0
"""Three heartbeats."""
UPGRADE_SECONDS: Final = 30.0


class LaneRunner:
    """Keeps one lane going for as long as it is assigned to us."""

    def __init__(
        self,
        number: int,
        make: Callable[[int], LaneOwner],
        *,
        retake_seconds: float,
        settled: Callable[[], bool],
        took: Callable[[str, float], None],
    ) -> None:
        self.number = number
        self.owner: LaneOwner | None = None
        self._make = make
        self._retake_seconds = retake_seconds
        self._settled = settled
        self._took = took
        self._stopping = False
        self._confirmed = asyncio.Event()
        self._task = self._begin()

    def _begin(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._run(), name=f"lane-{self.number}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Begin anew if the lane's task has ended although nobody asked it to: else it would stand still."""
        if not self._stopping and not task.get_loop().is_closed():
            log.error("lane %d: its task ended unasked: %r; beginning anew", self.number, task)
            self._task = self._begin()

    def confirm(self) -> None:
        """A new assignment has given us this lane (again)."""
        self._confirmed.set()

    async def stop(self) -> None:
        """Finish the batch in flight and let go."""
        self._stopping = True
        self._confirmed.set()
        done, _ = await asyncio.wait((self._task,), timeout=RELEASE_SECONDS_MAX)
        if not done:
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=RELEASE_SECONDS_MAX)

    async def _run(self) -> None:
        logs.begin_about({"lane": self.number})
        failures = 0
        while not self._stopping:
            owner = self._make(self.number)
            began = asyncio.get_running_loop().time()
            try:
                await owner.take_over()
                self.owner = owner
                self._took("taken", asyncio.get_running_loop().time() - began)
                failures = 0
                while not self._stopping:
                    await owner.turn()
            except LaneLostError as error:
                self._took("lost", 0)
                await self._lost(owner, error)
            except OutcomeUnknownError as error:
                self._took("unknown", 0)
                log.warning("lane %d: %s; retaking it", self.number, error)
                await self._let_go(owner)
                await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
                failures += 1
            except UnreadableFormatError:
                log.exception("lane %d cannot be taken by this version", self.number)
                await self._let_go(owner)
                await asyncio.sleep(UPGRADE_SECONDS)
            except asyncio.CancelledError:
                if self._task.cancelling():
                    raise
                # A client's own cancellation that got out of it: nobody has cancelled us.
                log.exception("lane %d: a cancellation that was not ours; retaking it", self.number)
                await asyncio.sleep(BACKOFF_SECONDS[-1])
            except Exception:  # boundary: a fault in one lane must not end the others, nor be silent
                self._took("failed", 0)
                log.exception("lane %d: unexpected; retaking it", self.number)
                await asyncio.sleep(BACKOFF_SECONDS[-1])
            finally:
                await self._let_go(owner)

    async def _let_go(self, owner: LaneOwner) -> None:
        self.owner = None
        await owner.close()

    async def _lost(self, owner: LaneOwner, error: LaneLostError) -> None:
        """Wait for a new assignment; take the lane again if we would have heard of one by now.

        A coordinator that ends a transaction for its time-out fences us although nobody else owns the lane; then
        no assignment ever comes. A member hears of a rebalance with its next heartbeat, one a second. Being wrong
        costs one more fence, for us and for the lane's owner.
        """
        log.info("lane %d is another's now: %s", self.number, error)
        self._confirmed.clear()
        await self._let_go(owner)
        for patience in (min(SETTLED_SECONDS, self._retake_seconds), self._retake_seconds):
            try:
                async with asyncio.timeout(patience):
                    await self._confirmed.wait()
            except TimeoutError:
                if not self._settled():
                    continue
                log.info("lane %d is still assigned to us; taking it again", self.number)
            return


class LaneSet:
    """The runners of the lanes that are ours."""

    def __init__(self, make: Callable[[int], LaneRunner]) -> None:
        self._make = make
        self.runners: dict[int, LaneRunner] = {}

    async def assign(self, lanes: Iterable[int]) -> None:
        """Let go of the lanes that are not ours any more, take those that are; keep the rest going."""
        wanted = frozenset(lanes)
        gone = [self.runners.pop(number) for number in self.runners.keys() - wanted]
        for runner in self.runners.values():
            runner.confirm()
        # First take, then let go: a lane that waits is late, a lane that leaves is fenced anyway.
        for number in sorted(wanted - self.runners.keys()):
            self.runners[number] = self._make(number)
        await asyncio.gather(*(runner.stop() for runner in gone))

    async def stop(self) -> None:
        """Let go of all of them."""
        await self.assign(())
