"""Judge all rules at one moment: which alerts begin, are raised, go on and are cleared. Prometheus' way, as a machine.

    condition holds ──► pending ──(held at each check for `for_seconds`)──► firing
                           │                                                 │
                           └── does not hold ──► cleared ◄──(over for `keep_seconds`)──┘

A rule whose question cannot be answered changes nothing: its alerts stay as they are, and it is reported.
"""

from collections.abc import Iterable
from operator import ge, gt, lt
from typing import Final

import msgspec

from processors.alerting.rule import Compare, Rule, Severity
from processors.alerting.states import Alert, Change, State, alert_id
from processors.alerting.templates import Template, TemplateError, template
from processors.alerting.thresholds import Thresholds
from processors.telemetry.promql import Expr, Labels, PromqlError, Source, Vector, instant, parse

VERSION: Final = 1
ALERTS_MAX: Final = 200
"""Of one rule. One that has more is asked too finely; what is above is counted, not raised."""
TOLD_MAX: Final = 1_000
"""Alerts of one rule whose last telling is remembered for its cooldown."""
TENANT: Final = "tenant"
_OWN: Final = ("__name__", "alertname", "severity")
"""Labels that the rule itself gives."""
_COMPARE: Final = {Compare.ABOVE: gt, Compare.AT_LEAST: ge, Compare.BELOW: lt}


class UnreadableStateError(Exception):
    """It is no state that this version reads."""


class _Standing(msgspec.Struct):
    """One alert that is pending or firing."""

    labels: dict[str, str]
    firing: bool
    active_ms: int
    value: float
    threshold: float | None = None
    description: str = ""
    over_ms: int | None = None
    """Since when the condition does not hold, while it is kept firing."""
    told: bool = False
    """Whether people have heard that it fires."""


class _Ruled(msgspec.Struct):
    """What is known of one rule's alerts. The rule's own words, too: it may be gone after an upgrade."""

    severity: str
    summary: str
    runbook: str
    standing: dict[str, _Standing] = msgspec.field(default_factory=dict)
    told_ms: dict[str, int] = msgspec.field(default_factory=dict)
    """When alerts were told to be firing, as long as their cooldown lasts."""


class _Packed(msgspec.Struct):
    v: int
    rules: dict[str, _Ruled]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Packed).decode


class Judge:
    """All rules, and where their alerts stand."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.failures: dict[str, str] = {}
        """Rules that could not be judged at the last check, and why."""
        self.overflow: dict[str, int] = {}
        """How many alerts of a rule were too many at the last check."""
        self._rules: dict[str, tuple[Rule, Expr, Template]] = {}
        self._broken: dict[str, str] = {}
        self._known: dict[str, _Ruled] = {}
        for rule in rules:
            try:
                self._rules[rule.name] = (rule, parse(rule.signal), template(rule.words))
            except (PromqlError, TemplateError) as error:
                self._broken[rule.name] = str(error)

    def check(self, source: Source, thresholds: Thresholds, now_ms: int) -> list[Change]:
        """Judge all rules now. Returns what has changed."""
        self.failures = dict(self._broken)
        self.overflow = {}
        changes: list[Change] = []
        for rule, expr, description in self._rules.values():
            try:
                found = _conditions(rule, expr, source, thresholds, now_ms)
            except PromqlError as error:
                self.failures[rule.name] = str(error)
            except Exception as error:  # boundary: one rule that cannot be judged must not stop the others
                self.failures[rule.name] = f"{type(error).__name__}: {error}"
            else:
                changes += self._judge(rule, description, found, now_ms)
        for name in [name for name in self._known if name not in self._rules and name not in self._broken]:
            changes += self._retire(name, now_ms)
        return changes

    def active(self) -> list[Alert]:
        """Return all alerts that are pending or firing."""
        return [
            _alert(name, known, key, standing, State.FIRING if standing.firing else State.PENDING)
            for name, known in self._known.items()
            for key, standing in known.standing.items()
        ]

    def pack(self) -> bytes:
        """Return where all alerts stand."""
        return _encode(_Packed(VERSION, self._known))

    def unpack(self, packed: bytes) -> None:
        """Go on where `pack` was. Raises `UnreadableStateError`."""
        try:
            state = _decode(packed)
        except msgspec.DecodeError as error:
            raise UnreadableStateError(str(error)) from error
        if state.v > VERSION:
            raise UnreadableStateError(f"format {state.v}; this version reads up to {VERSION}: upgrade it")
        self._known = state.rules

    # ---- one rule
    def _judge(
        self, rule: Rule, description: Template, found: list[tuple[str, Labels, float, float | None]], now_ms: int
    ) -> list[Change]:
        known = self._known.get(rule.name)
        if known is None:
            if not found:
                return []
            known = self._known[rule.name] = _Ruled(rule.severity, rule.summary, rule.runbook)
        known.severity, known.summary, known.runbook = rule.severity, rule.summary, rule.runbook
        holding = {key for key, *_ in found}
        changes = [
            change
            for key in [key for key in known.standing if key not in holding]
            if (change := self._over(rule, known, key, now_ms)) is not None
        ]
        for key, labels, value, threshold in found:
            standing = known.standing.get(key)
            fresh = standing is None
            if standing is None:
                if len(known.standing) >= ALERTS_MAX:
                    self.overflow[rule.name] = self.overflow.get(rule.name, 0) + 1
                    continue
                standing = _Standing(
                    labels, firing=False, active_ms=now_ms, value=value, threshold=threshold, description=""
                )
                known.standing[key] = standing
            standing.over_ms = None
            standing.value, standing.threshold = value, threshold
            standing.description = description.render(labels, value)
            before = State.FIRING if standing.firing else State.CLEARED if fresh else State.PENDING
            changes += _holds(rule, known, key, before, now_ms)
        _forget(rule, known, now_ms)
        return changes

    @staticmethod
    def _over(rule: Rule, known: _Ruled, key: str, now_ms: int) -> Change | None:
        """The condition does not hold. What is pending goes; what fires is kept for a while, if the rule says so."""
        standing = known.standing[key]
        if standing.firing and rule.keep_seconds:
            if standing.over_ms is None:
                standing.over_ms = now_ms
            if now_ms - standing.over_ms < rule.keep_seconds * 1000:
                return _tell_late(rule, known, key, now_ms)
        del known.standing[key]
        return _cleared(rule.name, known, key, standing, now_ms)

    def _retire(self, name: str, now_ms: int) -> list[Change]:
        """Clear the alerts of a rule that is no longer there."""
        known = self._known.pop(name)
        return [_cleared(name, known, key, standing, now_ms) for key, standing in known.standing.items()]


def _conditions(
    rule: Rule, expr: Expr, source: Source, thresholds: Thresholds, now_ms: int
) -> list[tuple[str, Labels, float, float | None]]:
    """Return for which series the condition holds: id, labels, value and what it was compared with."""
    answer = instant(expr, source, now_ms)
    if isinstance(answer, float):
        answer = Vector([({}, answer)])
    if not isinstance(answer, Vector):
        raise PromqlError(f"a rule asks for a scalar or an instant vector, not for a {expr.kind}")
    found: dict[str, tuple[str, Labels, float, float | None]] = {}
    for series, value in answer:
        threshold = None
        if rule.threshold is not None:
            tenant = series.get(TENANT, "") if rule.threshold.per_tenant else ""
            threshold = thresholds.of(rule.name, tenant)
            if not _COMPARE[rule.compare](value, threshold):
                continue
        labels = {name: text for name, text in series.items() if name not in _OWN}
        key = alert_id(rule.name, labels)
        if key in found:
            raise PromqlError(f"two series of its answer have the same labels {labels}: sum them, or keep a label more")
        found[key] = (key, labels, value, threshold)
    return list(found.values())


def _holds(rule: Rule, known: _Ruled, key: str, before: State, now_ms: int) -> list[Change]:
    """The condition holds. It is raised once it has held for long enough."""
    standing = known.standing[key]
    if standing.firing:
        late = _tell_late(rule, known, key, now_ms)
        return [] if late is None else [late]
    if now_ms - standing.active_ms >= rule.for_seconds * 1000:
        standing.firing = True
        standing.told = _may_tell(rule, known, key, now_ms)
        if standing.told:
            known.told_ms[key] = now_ms
        alert = _alert(rule.name, known, key, standing, State.FIRING)
        return [Change(alert, before, State.FIRING, now_ms, standing.told)]
    if before is State.CLEARED:
        alert = _alert(rule.name, known, key, standing, State.PENDING)
        return [Change(alert, before, State.PENDING, now_ms, told=False)]
    return []


def _may_tell(rule: Rule, known: _Ruled, key: str, now_ms: int) -> bool:
    told_ms = known.told_ms.get(key)
    return told_ms is None or now_ms - told_ms >= rule.cooldown_seconds * 1000


def _tell_late(rule: Rule, known: _Ruled, key: str, now_ms: int) -> Change | None:
    """Tell of one that was raised within its cooldown and fires still: else nobody would ever hear of it."""
    standing = known.standing[key]
    if standing.told or not _may_tell(rule, known, key, now_ms):
        return None
    standing.told = True
    known.told_ms[key] = now_ms
    return Change(_alert(rule.name, known, key, standing, State.FIRING), State.FIRING, State.FIRING, now_ms, told=True)


def _cleared(name: str, known: _Ruled, key: str, standing: _Standing, now_ms: int) -> Change:
    before = State.FIRING if standing.firing else State.PENDING
    return Change(_alert(name, known, key, standing, State.CLEARED), before, State.CLEARED, now_ms, standing.told)


def _forget(rule: Rule, known: _Ruled, now_ms: int) -> None:
    """Forget tellings whose cooldown is over. Those of the alerts that fire are needed for nothing else."""
    if not known.told_ms:
        return
    for key in [key for key in known.told_ms if _may_tell(rule, known, key, now_ms)]:
        del known.told_ms[key]
    while len(known.told_ms) > TOLD_MAX:
        del known.told_ms[next(iter(known.told_ms))]


def _alert(name: str, known: _Ruled, key: str, standing: _Standing, state: State) -> Alert:
    return Alert(
        id=key,
        alert=name,
        severity=Severity(known.severity),
        state=state,
        labels=standing.labels,
        value=standing.value,
        threshold=standing.threshold,
        since_ms=standing.active_ms,
        summary=known.summary,
        description=standing.description,
        runbook=known.runbook,
    )
