"""What goes on in the background, and how it ends."""

import asyncio
from contextlib import suppress


async def ended(task: "asyncio.Task[None] | None") -> None:
    """Cancel a task and wait for its end; what it failed of is raised. None is one that was never begun."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
