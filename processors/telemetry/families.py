"""Find series by name and labels: an index by both, and what was asked for lately."""

from collections.abc import Iterator
from typing import Final

from processors.telemetry.promql.matchers import Match, Matcher
from processors.telemetry.promql.series import NAME
from processors.telemetry.runs import Run

FOUND_MAX: Final = 512
"""Questions whose answers are kept. Rules and pages ask the same again and again."""


def _by_labels(run: Run) -> tuple[tuple[str, str], ...]:
    return run.key


class _Family:
    """All series of one name."""

    __slots__ = ("by_label", "members")

    def __init__(self) -> None:
        self.members: dict[tuple[tuple[str, str], ...], Run] = {}
        self.by_label: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], Run]] = {}


class Families:
    """All series, by name and by each of their labels."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._found: dict[str, dict[tuple[Matcher, ...], list[Run]]] = {}

    def add(self, run: Run) -> None:
        family = self._families.setdefault(run.labels[NAME], _Family())
        family.members[run.key] = run
        for pair in run.bare.items():
            family.by_label.setdefault(pair, {})[run.key] = run
        self._forget(run.labels[NAME])

    def remove(self, run: Run) -> None:
        name = run.labels[NAME]
        family = self._families[name]
        if family.members.get(run.key) is not run:
            return
        del family.members[run.key]
        for pair in run.bare.items():
            alike = family.by_label[pair]
            del alike[run.key]
            if not alike:
                del family.by_label[pair]
        if not family.members:
            del self._families[name]
        self._forget(name)

    def find(self, name: str, matchers: tuple[Matcher, ...]) -> list[Run]:
        """Return the series of a name (any, if it is empty) that match, in the order of their labels.

        So has Prometheus: the last digits of a sum depend on it.
        """
        asked = self._found.setdefault(name, {})
        found = asked.get(matchers)
        if found is None:
            if sum(map(len, self._found.values())) >= FOUND_MAX:
                self._found.clear()
                asked = self._found.setdefault(name, {})
            found = asked[matchers] = sorted(self._search(name, matchers), key=_by_labels)
        return found

    def _forget(self, name: str) -> None:
        self._found.pop(name, None)
        self._found.pop("", None)

    def _search(self, name: str, matchers: tuple[Matcher, ...]) -> Iterator[Run]:
        if name:
            families = [self._families[name]] if name in self._families else []
        else:
            of_name = [matcher for matcher in matchers if matcher.label == NAME]
            families = [
                family for one, family in self._families.items() if all(matcher.matches(one) for matcher in of_name)
            ]
        others = [matcher for matcher in matchers if matcher.label != NAME]
        for family in families:
            candidates = family.members
            for matcher in others:
                if matcher.match is Match.EQUAL and matcher.value:
                    alike = family.by_label.get((matcher.label, matcher.value), {})
                    candidates = min(candidates, alike, key=len)
            for run in candidates.values():
                if all(matcher.matches(run.labels.get(matcher.label, "")) for matcher in others):
                    yield run
