"""Carry directives out: checked, once for each key, at their time, with a signal and an audit entry for each end.

Theory of operation. A directive is a CloudEvent that came through the door as a command: its type names what is asked,
its data is the payload, its extensions say when (`notbefore`, `expires`), under which key (`idempotencykey`) and for
whom (`requester`). It ends within the commit that steps it, or waits in state for its time. Whatever it changes, its
new status, the signal that tells of it and the audit entry are one transaction: nobody hears of a change before it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from processors.alerting.rule import Threshold
from processors.dead_letters import condemn, set_aside
from processors.directives import audit, kinds, requester
from processors.directives.audit import Told
from processors.directives.definition import Applied, Definition, Place, RefusedError, judged, misdirected
from processors.directives.intake import Asked, asked_of
from processors.directives.record import (
    DUE,
    ENDED,
    HOP,
    KEPT_MS,
    RUNNING,
    SCHEDULED_MAX,
    Directive,
    Status,
    directive_key,
    head_key,
    pack,
    timed,
    timed_name,
    unpack,
    unpack_head,
    waiting_prefix,
)
from processors.directives.traced import traced
from processors.ingest import IngestSettings
from processors.step import CulpritError, Outcome, Step, format_header
from processors.telemetry import events
from processors.validation.payload import in_words
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.ids import derived_id
from processors.vocabulary.permissions import EVERYTHING, allows
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, Record
from processors.vocabulary.signal import CONTENT_TYPE

RUNS_MAX: Final = 256
"""Directives carried out, and as many forgotten, in one tick: the rest come with the next."""
GOING_ON_MAX: Final = 4
"""Directives that are spread over several commits, taken up again in one tick."""
SOURCE: Final = "/hopline/directives"
TYPE: Final = "hopline.directive."
_USED: Final = "the idempotency key was used for another directive; take a new one"
_STALE: Final = f"it was asked for more than {requester.AGE_MS_MAX // 60_000} minutes ago; ask again"
_BY: Final[Header] = (names.BY, HOP.encode())
_JSON: Final[Header] = (CONTENT_TYPE, b"application/cloudevents+json")
_OUTCOMES: Final = {
    Status.REJECTED: Outcome.REJECTED,
    Status.REQUESTED: Outcome.DEFERRED,
    Status.RUNNING: Outcome.DEFERRED,
}
_OPEN: Final = (Status.REQUESTED, Status.RUNNING)
_BUG: Final = "it failed with a bug; see the worker's log"
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class DirectivesSettings:
    """What an operator decides for all tenants."""

    ingest: IngestSettings = field(default_factory=IngestSettings)
    permissions: frozenset[str] = frozenset({EVERYTHING})
    """What those may ask for who can write to `commands`."""
    requester_key: bytes = field(default=b"", repr=False)
    """Checks who asks through a gateway; without it nobody is believed to."""
    alerts: Mapping[str, Threshold | None] = field(default_factory=dict)
    """The alerts that there are, with the bounds of their thresholds: the core does not know the rules."""


@dataclass(frozen=True, slots=True)
class DirectivesHop:
    """The hop. One object serves all lanes: what it knows of a lane is in the step."""

    settings: DirectivesSettings = field(default_factory=DirectivesSettings)
    name: str = HOP
    inputs: Sequence[str] = (topics.DIRECTIVES,)

    def step(self, step: Step, topic: str, records: Sequence[Record]) -> None:
        """Take directives in their order."""
        for record in records:
            if verdict := step.verdicts.get((topic, record.offset)):
                condemn(step, HOP, topic, record, verdict)
                continue
            signal = envelope.decode(record, reserved_ok=True)
            if isinstance(signal, Rejected):
                set_aside(step, HOP, topic, record, signal)
                continue
            settings = self.settings
            self._take(step, asked_of(signal, step.now_ms, settings.requester_key, settings.permissions))
        _wake(step)

    def tick(self, step: Step) -> None:
        """Carry out what has fallen due, forget what ended long ago."""
        for at_ms, name in ENDED.due(step.overlay, step.now_ms, RUNS_MAX):
            ENDED.clear(step.overlay, at_ms, name)
            step.overlay.put(directive_key(*timed(name)), None)
        for due_ms, name in DUE.due(step.overlay, step.now_ms, RUNS_MAX):
            self._fall_due(step, *timed(name), due_ms)
        for began_ms, name in RUNNING.due(step.overlay, step.now_ms, GOING_ON_MAX):
            self._continue(step, *timed(name), began_ms)
        _wake(step)

    def _take(self, step: Step, asked: Asked) -> None:
        """Judge a directive; then end it, or let it wait for its time."""
        tenant, directive = asked.tenant, asked.directive
        if asked.distrust:
            self._refuse(step, tenant, directive, asked.distrust)
            return
        before = _known(step, tenant, directive.key)
        if before is not None:
            if before.fingerprint == directive.fingerprint:
                step.count(HOP, tenant, Outcome.DUPLICATE)
            else:
                self._refuse(step, tenant, directive, _USED)
            return
        if asked.stale:
            self._refuse(step, tenant, directive, _STALE)
            return
        definition, payload, directive.error = self._judged(asked)
        if directive.error:
            self._tell(step, tenant, directive, Status.REJECTED)
        elif directive.due_ms > step.now_ms:
            self._schedule(step, tenant, directive)
        elif definition is not None:
            self._run(step, tenant, directive, definition, payload)

    def _judged(self, asked: Asked) -> tuple[Definition[Any] | None, Any, str]:
        """Return what kind it is, its payload, and why it is rejected if it is."""
        directive = asked.directive
        definition = kinds.BY_NAME.get(directive.name)
        if definition is None:
            return None, None, f"there is no directive {directive.name!r}; `hopline directives kinds` lists them"
        if wrong := misdirected(definition, asked.tenant):
            return None, None, wrong
        if not allows(directive.granted, definition.permission):
            return None, None, f"{directive.requester} lacks the permission {definition.permission}"
        payload, problems = judged(definition, directive.payload)
        return definition, payload, in_words((*asked.problems, *problems))

    def _fall_due(self, step: Step, tenant: str, key: str, due_ms: int) -> None:
        """Carry out a directive that has waited, or end it if that is not to be any more."""
        directive = _taken_out(step, tenant, key, due_ms)
        if directive is None:
            # Another one of this tick has cancelled it.
            return
        step.late_ms.setdefault(HOP, []).append(step.now_ms - due_ms)
        definition = kinds.BY_NAME.get(directive.name)
        at = (f"{tenant}/{key}", due_ms)
        if definition is None or at in step.verdicts:
            directive.error = "its kind is gone" if definition is None else _BUG
            self._tell(step, tenant, directive, Status.FAILED)
        elif directive.expires_ms and directive.expires_ms <= step.now_ms:
            directive.error = "it expired before it could be carried out"
            self._tell(step, tenant, directive, Status.FAILED)
        else:
            try:
                self._run(step, tenant, directive, definition, judged(definition, directive.payload)[0])
            except Exception as error:  # boundary: whoever steps condemns this directive, and goes on with the rest
                raise CulpritError(*at) from error

    def _continue(self, step: Step, tenant: str, key: str, began_ms: int) -> None:
        """Take a directive up again that is spread over several commits."""
        packed = step.overlay.get(directive_key(tenant, key))
        directive = None if packed is None else unpack(packed)
        RUNNING.clear(step.overlay, began_ms, timed_name(tenant, key))
        if directive is None or directive.status is not Status.RUNNING:
            message = f"directive {key!r} of {tenant} runs and is not there: its state is damaged"
            raise LookupError(message)
        step.count(HOP, tenant, Outcome.DEFERRED, -1)
        definition = kinds.BY_NAME.get(directive.name)
        at = (f"{tenant}/{key}", began_ms)
        if definition is None or definition.go_on is None or at in step.verdicts:
            directive.error = "its kind is gone" if at not in step.verdicts else _BUG
            self._tell(step, tenant, directive, Status.FAILED)
            return
        try:
            payload = judged(definition, directive.payload)[0]
            applied = definition.go_on(self._place(step, tenant, directive), payload, directive.progress)
        except Exception as error:  # boundary: whoever steps condemns this directive, and goes on with the rest
            raise CulpritError(*at) from error
        self._end(step, tenant, directive, applied)

    def _place(self, step: Step, tenant: str, directive: Directive) -> Place:
        settings, granted = self.settings, frozenset(directive.granted)
        return Place(step, tenant, settings.ingest, granted, directive.requester, directive.id, settings.alerts)

    def _run(self, step: Step, tenant: str, directive: Directive, definition: Definition[Any], payload: object) -> None:
        """Carry a directive out. One that is refused changes nothing."""
        directive.attempts += 1
        try:
            applied = definition.apply(self._place(step, tenant, directive), payload)
        except RefusedError as refused:
            directive.error = str(refused)
            self._tell(step, tenant, directive, Status.FAILED)
            return
        self._end(step, tenant, directive, applied)

    def _end(self, step: Step, tenant: str, directive: Directive, applied: Applied) -> None:
        """End a directive with what it has changed; or let it go on with the next tick, if it has not done all."""
        if applied.more:
            began = directive.status is not Status.RUNNING
            directive.progress = applied.more
            RUNNING.set(step.overlay, step.now_ms, timed_name(tenant, directive.key))
            if began:
                self._tell(step, tenant, directive, Status.RUNNING)
            else:
                step.overlay.put(directive_key(tenant, directive.key), pack(directive))
                step.count(HOP, tenant, Outcome.DEFERRED)
            return
        for waiting in applied.cancelled:
            _taken_out(step, tenant, waiting.key, waiting.due_ms)
            self._tell(step, tenant, waiting, Status.CANCELLED)
        self._tell(step, tenant, directive, Status.SUCCEEDED, (applied.before, applied.after))

    def _schedule(self, step: Step, tenant: str, directive: Directive) -> None:
        if unpack_head(step.overlay.get(head_key(tenant))).scheduled >= SCHEDULED_MAX:
            directive.error = f"{SCHEDULED_MAX} directives of this tenant wait already; cancel some"
            self._tell(step, tenant, directive, Status.REJECTED)
            return
        DUE.set(step.overlay, directive.due_ms, timed_name(tenant, directive.key))
        _wait(step, tenant, directive.key, 1)
        self._tell(step, tenant, directive, Status.REQUESTED)

    def _refuse(self, step: Step, tenant: str, directive: Directive, why: str) -> None:
        """Answer one whose key is not its to use: what stands under the key stays, and so does its room."""
        directive.error = why
        directive.status = Status.REJECTED
        self._write(step, tenant, directive, kept=False)

    def _tell(
        self,
        step: Step,
        tenant: str,
        directive: Directive,
        status: Status,
        change: tuple[Any, Any] = (None, None),
    ) -> None:
        """Keep where a directive stands, count it, write it into the audit, and let the pipeline know."""
        directive.status = status
        if status not in _OPEN:
            directive.finished_ms = step.now_ms
            # Its fingerprint tells the same one again; nothing else is asked of it any more.
            directive.payload = directive.progress = b""
            ENDED.set(step.overlay, step.now_ms + KEPT_MS, timed_name(tenant, directive.key))
        step.overlay.put(directive_key(tenant, directive.key), pack(directive))
        self._write(step, tenant, directive, change)

    def _write(
        self,
        step: Step,
        tenant: str,
        directive: Directive,
        change: tuple[Any, Any] = (None, None),
        *,
        kept: bool = True,
    ) -> None:
        """Count it, write it into the audit, and let the pipeline know."""
        name = tenant.encode()
        step.count(HOP, tenant, _OUTCOMES.get(directive.status, Outcome.HANDLED))
        _note(step, tenant, directive)
        head = unpack_head(step.overlay.get(head_key(tenant)))
        mark = requester.mark_of(self.settings.requester_key, directive.fingerprint)
        line = audit.extend(head, tenant, directive, step.now_ms, Told(*change, mark, kept))
        step.overlay.put(head_key(tenant), pack(head))
        step.emit(topics.AUDIT, step.lane, (name, line, [format_header(step.write_format)]))
        event = _encode(_event(step, tenant, directive))
        headers = [_JSON, _BY, *traced(step, tenant, directive), format_header(step.write_format)]
        step.emit(topics.SIGNALS, step.lane, (name, event, headers))


def _note(step: Step, tenant: str, directive: Directive) -> None:
    """Note for telemetry where a directive stands; of one that failed, all that can be said."""
    # Whoever asks can ask for anything; what is counted is a closed set.
    kind = directive.name if directive.name in kinds.BY_NAME else "unknown"
    step.ended[kind, directive.status] = step.ended.get((kind, directive.status), 0) + 1
    if directive.status is Status.FAILED or directive.status is Status.REJECTED:
        metadata = {"kind": kind, "key": directive.key, "error": directive.error}
        event, measurements = events.DIRECTIVE_REJECTED, {}
        if directive.status is Status.FAILED:
            event, measurements = events.DIRECTIVE_FAILED, {"late_seconds": _late_ms(step, directive) / 1_000}
        step.tell(event, measurements, metadata, hop=HOP, tenant=tenant, id=directive.id)


def _late_ms(step: Step, directive: Directive) -> int:
    return max(0, step.now_ms - directive.due_ms) if directive.due_ms else 0


def _wake(step: Step) -> None:
    """Ask for a tick when something falls due, or is to go on."""
    DUE.wake(step)
    RUNNING.wake(step)


def _known(step: Step, tenant: str, key: str) -> Directive | None:
    """Return what was asked under a key, unless its time is over: it may not have been forgotten yet."""
    packed = step.overlay.get(directive_key(tenant, key))
    known = None if packed is None else unpack(packed)
    if known is not None and known.finished_ms and known.finished_ms + KEPT_MS <= step.now_ms:
        ENDED.clear(step.overlay, known.finished_ms + KEPT_MS, timed_name(tenant, key))
        return None
    return known


def _taken_out(step: Step, tenant: str, key: str, due_ms: int) -> Directive | None:
    """Return a directive that waits no longer; None if it did not wait."""
    packed = step.overlay.get(directive_key(tenant, key))
    if packed is None:
        message = f"directive {key!r} of {tenant} is due and not there: its state is damaged"
        raise LookupError(message)
    directive = unpack(packed)
    if directive.status is not Status.REQUESTED:
        return None
    DUE.clear(step.overlay, due_ms, timed_name(tenant, key))
    _wait(step, tenant, key, -1)
    step.count(HOP, tenant, Outcome.DEFERRED, -1)
    return directive


def _wait(step: Step, tenant: str, key: str, by: int) -> None:
    """Count those of a tenant that wait, and mark which they are."""
    step.overlay.put(waiting_prefix(tenant) + key.encode(), b"" if by > 0 else None)
    head = unpack_head(step.overlay.get(head_key(tenant)))
    head.scheduled += by
    step.overlay.put(head_key(tenant), pack(head))


def _event(step: Step, tenant: str, directive: Directive) -> dict[str, Any]:
    """Return the signal that tells where a directive stands."""
    return {
        "specversion": "1.0",
        "id": derived_id(directive.id, directive.status),
        "source": SOURCE,
        "type": TYPE + directive.status,
        "subject": directive.key,
        "time": envelope.rfc3339(step.now_ms),
        "tenantid": tenant,
        "correlationid": directive.correlation,
        "causationid": directive.id,
        "datacontenttype": "application/json",
        "data": {
            "directive": directive.name,
            "key": directive.key,
            "requester": directive.requester,
            "status": directive.status,
            "attempts": directive.attempts,
            "due_ms": directive.due_ms,
            "error": directive.error,
        },
    }
