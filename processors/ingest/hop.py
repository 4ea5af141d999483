"""Admit each record once: decode, lane, tenant, rate, dedupe, enrich. What fails is set aside whole."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.dead_letters import condemn, set_aside
from processors.ingest import business, queue, types
from processors.ingest.door import Door, IngestSettings
from processors.ingest.replay import Replay, line_of
from processors.ingest.tenant import HOP, Account, Over, Status
from processors.step import CulpritError, Outcome, Step, format_header
from processors.telemetry import spans, trace
from processors.telemetry.events import FROM_SIGNALS
from processors.vocabulary import envelope, rules, topics
from processors.vocabulary import headers as names
from processors.vocabulary.ids import coordinate_id, digest
from processors.vocabulary.partition import lane_of
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.record import Header, Record
from processors.vocabulary.rules import SYSTEM
from processors.vocabulary.signal import Absent, Signal

SEGMENTS_EXPIRED_MAX: Final = 4
"""Segments dropped in one batch, so that forgetting never makes a batch long."""
_REFUSED: Final = {
    Status.SUSPENDED: Rejected(Reason.TENANT_SUSPENDED),
    Status.DELETED: Rejected(Reason.TENANT_DELETED),
}


@dataclass(frozen=True, slots=True)
class IngestHop:
    """The first hop. One object serves all lanes: what it knows of a lane is in the step."""

    settings: IngestSettings = field(default_factory=IngestSettings)
    name: str = HOP
    inputs: Sequence[str] = (topics.COMMANDS, topics.SIGNALS_IN)

    def tick(self, step: Step) -> None:
        """Release what waited long enough, forget what is old enough."""
        step.overlay.expire(HOP, step.now_ms, SEGMENTS_EXPIRED_MAX)
        lines = queue.due_lines(step.overlay, step.now_ms)
        if lines:
            door = Door(step, self.settings)
            door.open({line.partition("\0")[0]: None for line in lines})
            budget = queue.RELEASES_MAX
            for line in lines:
                budget = _release(door, line, budget)
            door.close()
        queue.DUE.wake(step)

    def step(self, step: Step, topic: str, records: Sequence[Record]) -> None:
        """Admit the records in their order."""
        decoded, tenants = _decode(step, topic, records)
        if topic == topics.COMMANDS:
            _commands(step, decoded)
            return
        door = Door(step, self.settings)
        door.open(tenants)
        _look_up(door, decoded)
        for record, signal, member in decoded:
            _signal(door, topic, record, signal, member)
        door.close()
        queue.DUE.wake(step)


def _decode(
    step: Step, topic: str, records: Sequence[Record]
) -> tuple[list[tuple[Record, Signal, bytes]], Collection[str]]:
    """Return what is well formed, with its dedupe member, and whose it is; set aside the rest."""
    found = []
    verdicts, tenants = step.verdicts, dict[str, None]()
    decode: Callable[[Record], Signal | Rejected] = _decode_command if topic == topics.COMMANDS else envelope.decode
    for record in records:
        if verdicts and (verdict := verdicts.get((topic, record.offset))):
            condemn(step, HOP, topic, record, verdict)
            continue
        signal = decode(record)
        if isinstance(signal, Rejected):
            set_aside(step, HOP, topic, record, signal)
            continue
        tenants[signal.tenant] = None
        found.append((record, signal, _member(topic, record, signal)))
    return found, tenants


def _decode_command(record: Record) -> Signal | Rejected:
    """Decode a command. Of the names that Hopline keeps for itself one takes directives: its keys are operators'."""
    signal = envelope.decode(record, reserved_ok=True)
    if isinstance(signal, Rejected) or signal.tenant == SYSTEM or rules.is_tenant(signal.tenant, reserved_ok=False):
        return signal
    return envelope.decode(record)


def _member(topic: str, record: Record, signal: Signal) -> bytes:
    """Return what stands for the signal's identity among the ids seen."""
    identity = signal.id or coordinate_id(topic, record.partition, record.offset)
    return digest(f"{signal.tenant}\0{signal.source}\0{identity}".encode())


def _look_up(door: Door, decoded: list[tuple[Record, Signal, bytes]]) -> None:
    accounts = door.accounts
    wanted = [member for _, signal, member in decoded if accounts[signal.tenant].policy.dedupe_window_ms]
    door.step.overlay.prefetch_seen(HOP, wanted)


def _elsewhere(step: Step, signal: Signal) -> bool:
    """Tell whether the tenant lives in another lane. Asked only of one that has no account here: this takes long."""
    return lane_of(signal.tenant.encode(), step.lanes) != step.lane


def _move(step: Step, topic: str, record: Record, signal: Signal) -> None:
    """Put a record into its tenant's lane, once."""
    if any(name == names.MOVED for name, _ in record.headers):
        set_aside(step, HOP, topic, record, Rejected(Reason.MOVED_TWICE), tenant=signal.tenant)
        return
    tenant = signal.tenant.encode()
    came_from = b"%d/%d" % (record.partition, record.offset)
    headers = [*record.headers, (names.MOVED, came_from)]
    step.emit(topic, lane_of(tenant, step.lanes), (tenant, record.value, headers))
    step.count(HOP, signal.tenant, Outcome.MOVED)


def _signal(door: Door, topic: str, record: Record, signal: Signal, member: bytes) -> None:
    """Admit one signal: its tenant's status, its turn, its rate; then once and enriched."""
    step, account = door.step, door.accounts[signal.tenant]
    if not account.known:
        if _elsewhere(step, signal):
            _move(step, topic, record, signal)
            return
        if door.settings.strict:
            rejected = Rejected(Reason.UNKNOWN_TENANT)
            door.refuse(topic, record, account, rejected, signal.tenant)
            return
        account.create(step.now_ms)
    account.changed = True
    policy = account.policy
    if policy.status is not Status.ACTIVE:
        door.refuse(topic, record, account, _REFUSED[policy.status], signal.tenant)
    elif policy.typed and (wrong := types.judged(step, signal)):
        door.refuse(topic, record, account, wrong, signal.tenant)
    elif signal.replayid and (replay := door.replays_of(signal.tenant).by_id.get(signal.replayid)) is not None:
        _replayed(door, topic, record, signal, account, replay)
    elif policy.held or account.queued or not account.take_token(step.now_ms):
        # Behind those that wait, even if there is a token: a tenant's order is the log's.
        _over(door, topic, record, signal, account)
    else:
        _once(door, record, signal, member, account)


def _replayed(door: Door, topic: str, record: Record, signal: Signal, account: Account, replay: Replay) -> None:
    """Admit a signal of a replay that the lane knows, at the replay's rate: live signals pay nothing for it."""
    step, replays = door.step, door.replays_of(signal.tenant)
    own, held = replay.account, account.policy.held
    replays.changed = True
    if not replay.runs(step.now_ms):
        own.dead += 1
        door.refuse(topic, record, account, Rejected(Reason.REPLAY_ENDED), signal.tenant)
        return
    identity = signal.id or coordinate_id(topic, record.partition, record.offset)
    member = replay.member(signal.tenant, signal.source, identity)
    seen_ms = step.overlay.seen(HOP, member)
    # Not what an older replay of the same name has seen.
    if seen_ms is not None and seen_ms >= replay.began_ms:
        own.add_duplicate()
        account.add_duplicate()
        return
    waits = held or own.queued or not own.take_token(step.now_ms)
    if waits and not queue.fits(own, record):
        own.dead += 1
        door.refuse(topic, record, account, Rejected(Reason.RATE_LIMITED), signal.tenant)
        return
    # Here and not when it is released, which may be long after what was seen is forgotten.
    step.overlay.remember(HOP, member, step.now_ms)
    door.kept_ms = max(door.kept_ms, replay.ends_ms)
    if not waits:
        _once(door, record, signal, _member(topic, record, signal), account, replay)
        return
    queue.push(step.overlay, line_of(signal.tenant, replay.id), own, topic, record)
    if own.queued == 1:
        replays.settle(step, replay, held=held)
    step.count(HOP, signal.tenant, Outcome.DEFERRED)


def _over(door: Door, topic: str, record: Record, signal: Signal, account: Account) -> None:
    """Keep a record over the tenant's rate for later, or refuse it."""
    policy = account.policy
    if (policy.over is Over.REFUSE and not policy.held) or not queue.fits(account, record):
        door.refuse(topic, record, account, Rejected(Reason.RATE_LIMITED), signal.tenant)
        return
    queue.push(door.step.overlay, signal.tenant, account, topic, record)
    if account.queued == 1:
        queue.schedule(door.step.overlay, signal.tenant, account, door.step.now_ms)
    door.step.count(HOP, signal.tenant, Outcome.DEFERRED)


def _once(
    door: Door, record: Record, signal: Signal, member: bytes, account: Account, replay: Replay | None = None
) -> None:
    """Write the signal, enriched, unless its id was seen within the tenant's window."""
    step = door.step
    window_ms = account.policy.dedupe_window_ms
    # A replay of what was handled leaves live ids alone; a redrive is the first time, and counts as that.
    if window_ms and (replay is None or replay.redrive):
        seen_ms = step.overlay.seen(HOP, member)
        if seen_ms is not None and step.now_ms - seen_ms < window_ms and seen_ms >= account.policy.seen_from_ms:
            account.add_duplicate()
            if replay is not None:
                replay.account.add_duplicate()
            return
        step.overlay.remember(HOP, member, step.now_ms)
    account.handled += 1
    account.batch_handled += 1
    if signal.type in FROM_SIGNALS:
        business.tell(step, signal, member)
    value, headers = _enriched(topics.SIGNALS_IN, record, signal, member)
    if signal.headers:
        headers = [header for header in headers if header[0] not in names.OURS]
    if (traceparent := trace.sampled(signal)) is not None:
        headers = _traced(
            step, (topics.SIGNALS_IN, record), signal, headers, traceparent, "" if replay is None else replay.id
        )
    elif record.timestamp < step.slow_before_ms:
        _note(step, (topics.SIGNALS_IN, record), signal, member, trace.Why.SLOW, "" if replay is None else replay.id)
    elif replay is not None:
        _note(step, (topics.SIGNALS_IN, record), signal, member, trace.Why.REPLAYED, replay.id)
    headers.append((names.CAME, _came(record)))
    headers.append(format_header(step.write_format))
    if replay is not None:
        replay.account.handled += 1
        again = (HOP, signal.tenant, replay.id)
        step.replayed[again] = step.replayed.get(again, 0) + 1
        headers.append((names.REPLAYED, replay.id.encode()))
    step.emit(topics.SIGNALS, step.lane, (signal.tenant.encode(), value, headers))
    step.handled_ms.append(record.timestamp)


def _came(record: Record) -> bytes:
    """Return where and when a record entered the log: what history tells of a signal's way."""
    came = b"%d/%d" % (record.offset, record.timestamp)
    for name, value in record.headers:
        if name == names.MOVED and value:
            came += b"/" + value
    return came


def _traced(
    step: Step, found: tuple[str, Record], signal: Signal, headers: list[Header], traceparent: bytes, replay: str = ""
) -> list[Header]:
    """Note a sampled signal's span, and hand its trace on to who reads the output."""
    if len(step.spans) < trace.SPANS_MAX:
        why = trace.Why.SLOW if found[1].timestamp < step.slow_before_ms else trace.Why.SAMPLED
        span = spans.processed(HOP, traceparent, found, signal, step.now_ms, why=why, replay=replay)
        step.spans.append(span)
        span_id = span.span_id
    else:
        step.spans_dropped += 1
        span_id = spans.span_id_of(HOP, traceparent, *found)
    kept = [header for header in headers if header[0] != trace.TRACEPARENT]
    return [*kept, trace.hop_header(traceparent, span_id)]


def _note(step: Step, found: tuple[str, Record], signal: Signal, member: bytes, why: trace.Why, replay: str) -> None:
    """Note a span of a signal that nobody sampled, if there is room. What it hands on stays as it is."""
    if step.may_note(slow=why is trace.Why.SLOW):
        traceparent = spans.unsampled(signal, member)
        step.spans.append(spans.processed(HOP, traceparent, found, signal, step.now_ms, why=why, replay=replay))


def _enriched(topic: str, record: Record, signal: Signal, member: bytes) -> tuple[bytes | None, list[Header]]:
    """Add what the sender left out, derived from the signal and its place in the log."""
    absent = signal.absent
    additions: dict[str, str] = {}
    if absent & Absent.ID:
        additions["id"] = coordinate_id(topic, record.partition, record.offset)
    if absent & Absent.TIME:
        additions["time"] = envelope.rfc3339(record.timestamp)
    if absent & Absent.CORRELATIONID:
        additions["correlationid"] = additions.get("id") or signal.id
    if absent & Absent.TRACEPARENT:
        carried = trace.of_headers(signal.headers) if signal.headers else None
        own = member.hex()
        # As `trace.derived` has it, without the call: this is most signals' way.
        additions["traceparent"] = carried.decode() if carried else f"00-{own}-{own[:16]}-00"
    return envelope.enrich(signal, additions)


def _commands(step: Step, decoded: list[tuple[Record, Signal, bytes]]) -> None:
    """Let commands through. They have no rate, for they lift limits; each counts once where it is carried out."""
    for record, signal, member in decoded:
        if _elsewhere(step, signal):
            _move(step, topics.COMMANDS, record, signal)
            continue
        value, headers = _enriched(topics.COMMANDS, record, signal, member)
        headers = [header for header in headers if header[0] not in names.OURS]
        redriven = names.last(record.headers, names.REDRIVEN) if record.headers else None
        if (traceparent := trace.sampled(signal)) is not None:
            headers = _traced(step, (topics.COMMANDS, record), signal, headers, traceparent)
        elif record.timestamp < step.slow_before_ms:
            _note(step, (topics.COMMANDS, record), signal, member, trace.Why.SLOW, "")
        elif redriven is not None:
            _note(
                step, (topics.COMMANDS, record), signal, member, trace.Why.REPLAYED, redriven.decode(errors="replace")
            )
        headers.append(format_header(step.write_format))
        step.emit(topics.DIRECTIVES, step.lane, (signal.tenant.encode(), value, headers))
        step.count(HOP, signal.tenant, Outcome.HANDLED)


def _release(door: Door, line: str, budget: int) -> int:
    """Admit what waited, in its order, while there are tokens; return what is left of the budget."""
    tenant, _, replay_id = line.partition("\0")
    step, account = door.step, door.accounts[tenant]
    replay = door.replays_of(tenant).by_id[replay_id] if replay_id else None
    waiting = account if replay is None else replay.account
    account.changed = True
    while waiting.queued and budget and not account.policy.held:
        active = account.policy.status is Status.ACTIVE
        if active and not waiting.take_token(step.now_ms):
            break
        record = queue.pop(step.overlay, line, waiting)
        step.count(HOP, tenant, Outcome.DEFERRED, -1)
        budget -= 1
        if verdict := step.verdicts.get((record.topic, record.offset)):
            condemn(step, HOP, record.topic, record, verdict)
            continue
        try:
            _released(door, tenant, account, record, replay)
        except Exception as error:  # boundary: whoever steps sets this record aside, and goes on with the rest
            raise CulpritError(record.topic, record.offset) from error
    if replay is None:
        queue.schedule(step.overlay, tenant, account, step.now_ms)
    else:
        door.replays_of(tenant).settle(step, replay, held=account.policy.held)
    return budget


def _released(door: Door, tenant: str, account: Account, record: Record, replay: Replay | None) -> None:
    signal = envelope.decode(record)
    if isinstance(signal, Rejected):
        problem = Problem("", "no longer valid under this version's rules")
        rejected = Rejected(signal.reason, (*signal.problems, problem))
        door.refuse(record.topic, record, account, rejected, tenant)
    elif account.policy.status is not Status.ACTIVE:
        door.refuse(record.topic, record, account, _REFUSED[account.policy.status], tenant)
    else:
        _once(door, record, signal, _member(record.topic, record, signal), account, replay)
