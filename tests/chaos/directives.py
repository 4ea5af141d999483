"""A chaos run with directives beside the signals, and the count of what became of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Any

from typing_extensions import override

from processors.vocabulary import topics
from streams.changelog import open_changelog
from streams.directives import chains
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.chaos.answers import Answers, judge_directives
from tests.chaos.asked import Asking, Both
from tests.chaos.load import Feeder
from tests.chaos.run import LANES, PREFIX, Chaos
from tests.chaos.sight import Sight
from tests.chaos.tenants import Traffic
from tests.chaos.verdict import Evidence


@dataclass(slots=True)
class DirectedChaos(Chaos):
    """One run with directives."""

    _asking: Any = None
    _sight: Any = None
    _answers: Answers = field(default_factory=lambda: Answers(LANES))

    @override
    @asynccontextmanager
    async def feeder(self) -> AsyncIterator[Feeder]:
        """Give who sends signals and directives."""
        wish, bootstrap = self.wish, self._broker.bootstrap
        asking = Asking(LANES, Random(wish.seed + 4))
        self._sight = Sight(bootstrap, PREFIX, LANES, self._pulse.wire)
        async with Feeder(bootstrap, PREFIX + topics.COMMANDS, LANES, asking, wish.directives) as self._asking:
            traffic = Traffic(self.tenants, Random(wish.seed + 2))
            topic = PREFIX + topics.SIGNALS_IN
            async with Both(bootstrap, topic, LANES, traffic, wish.signals, asking=self._asking) as both:
                yield both

    @override
    def watchers(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on beside the run."""
        return [*Chaos.watchers(self), self._sight.watch()]

    @override
    @asynccontextmanager
    async def drained(self) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        """Give what tells whether every directive has ended."""
        answers = Answers(LANES)
        async with self._log(topics.COMMANDS) as commands, self._log(topics.STATE) as state:

            async def done() -> bool:
                async for record in commands.rest():
                    answers.add_command(record)
                async for record in state.rest():
                    answers.add_state(record)
                return self._asking.accepted <= answers.numbers and answers.ended()

            yield done

    @override
    async def also_read(self, evidence: Evidence) -> int:
        """Read what directives left behind; return how many commands stand in the log, moved ones once."""
        answers = self._answers
        for topic, add in (
            (topics.COMMANDS, answers.add_command),
            (topics.AUDIT, answers.add_audit),
            (topics.SIGNALS, answers.add_signal),
            (topics.STATE, answers.add_state),
        ):
            async with self._log(topic) as read:
                async for record in read.rest():
                    add(record)
        # A moved command comes in twice, as a moved signal does.
        evidence.read_in += answers.moved
        evidence.moved += answers.moved
        broken = {}
        kafka = KafkaSettings(self._broker.bootstrap)
        async with open_changelog(kafka, TopicNames(PREFIX), LANES) as changelog:
            for lane in range(LANES):
                for chain in await chains(changelog, TopicNames(PREFIX), lane):
                    broken[chain.tenant] = chain.problems
        seen = self._sight.seen
        self.outcome.judgement = judge_directives(answers, self._asking.accepted, evidence.state, broken, seen)
        self.outcome.facts |= {
            "directives": answers.entered,
            "directives_accepted": len(self._asking.accepted),
            "chains": len(broken),
            "statuses_seen": len(seen),
            "status_age_ms_median": median(look.age_ms for look in seen) if seen else None,
            "outcomes": self._outcomes(),
        }
        return answers.entered

    def _outcomes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entries in self._answers.entries.values():
            for entry in entries:
                found[entry.outcome.value] = found.get(entry.outcome.value, 0) + 1
        return dict(sorted(found.items()))
