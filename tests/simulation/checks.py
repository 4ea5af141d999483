"""All checks of a run that has come to rest."""

from collections import Counter
from dataclasses import replace
from typing import Final

from processors.directives import audit
from processors.directives.record import Status
from processors.ingest.tenant import Account, account_key
from processors.lane import LaneSettings
from processors.memory import MemoryStore
from processors.position import POSITION_KEY, Position, unpack
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from streams.lanes.owner import OWNERS_MAX, SUSPICIOUS_TAKEOVERS
from tests.simulation import replays
from tests.simulation.hops import COUNT, SEQ, chained, count_key, header_of, is_moved
from tests.simulation.log import ECHO, Transaction
from tests.simulation.model import INPUTS, Model, check_ledger, gather, reason_of
from tests.simulation.replay import Folded, Written, by_transaction, compare_index, compare_state, fold_lane, keys_of
from tests.simulation.violation import ensure
from tests.simulation.world import WINDOW_MS, World

REFUSALS: Final = (Reason.RATE_LIMITED, Reason.TENANT_SUSPENDED, Reason.REPLAY_ENDED)
STRIKES: Final = ("crash", "leave", "outcome_unknown", "zombie_refused", "pause", "agent")

PROVEN_BEFORE_MAX: Final = 4


def check(world: World) -> None:
    """Raise on the first rule that does not hold."""
    _check_log(world)
    _check_deaths(world)
    written = by_transaction(world.cluster)
    folded: dict[int, Folded] = {}
    for number in range(world.profile.lanes):
        settings = LaneSettings(number, world.profile.lanes, world.hops)
        _check_positions(world, number)
        _check_marks(world, number, written)
        folded[number] = fold_lane(world.cluster, settings, written)
        _check_copies(world, number, folded[number])
    _check_from_checkpoints(world, written, folded)
    model = _model(world, folded)
    model.check()
    world.network.counts["innocent_stuck"] = model.innocents
    for number, fold in folded.items():
        check_ledger(fold.position, world.cluster, number, _made(world, number))
    _check_accounts(world, model, folded)
    for outcome, count in world.asker.check(lambda lane: folded[lane].store).items():
        world.network.counts[f"asked_{outcome}"] = count
    world.network.counts |= world.clearer.check(lambda lane: folded[lane].store)


def _check_log(world: World) -> None:
    """Nothing hangs, and no lane has written where it must not."""
    for (topic, number), partition in world.cluster.partitions.items():
        where = f"{topic}/{number}"
        ensure(partition.stable == partition.next_offset, "hanging", f"{where} is stable up to {partition.stable} only")
        for record in partition.committed():
            if record.producer == "outside":
                ensure(topic in INPUTS, "cross-lane", f"{where} has a record from outside")
            elif record.producer != f"lane-{number}":
                moved = topic in INPUTS and is_moved(record)
                ensure(moved, "cross-lane", f"{where} has a record of {record.producer}")


def _check_deaths(world: World) -> None:
    """A record that kills its process does so a bounded number of times."""
    counts = world.network.counts
    killers = sum(sent.touch.endswith(b"kill") for sent in world.driver.sent)
    deaths = counts.get("killed_by_record", 0)
    # Some owners die unaware, then each attempt counts. One may prove each topic with a small batch before it meets
    # the record, and the next one begins nearer to it; and each fault may cost an attempt more. Seen: one more in all.
    unaware = SUSPICIOUS_TAKEOVERS + 1 + PROVEN_BEFORE_MAX
    most = killers * (OWNERS_MAX + unaware) + 1 + sum(counts.get(kind, 0) for kind in STRIKES)
    ensure(deaths <= most, "deaths", f"{killers} records have killed {deaths} processes, {most} at the most")


def _check_positions(world: World, number: int) -> None:
    """What a lane says it has applied never goes back; nor does its time."""
    last = Position()
    for record in world.cluster.partitions[topics.STATE, number].committed():
        if record.key != POSITION_KEY:
            continue
        now = unpack(record.value or b"")
        for topic, offset in last.applied.items():
            ensure(now.applied.get(topic, 0) >= offset, "monotonic", f"lane {number}: {topic} goes back from {offset}")
        ensure(now.now_ms >= last.now_ms, "time", f"lane {number}: time goes back from {last.now_ms}")
        ensure(now.sequence >= last.sequence, "monotonic", f"lane {number}: sequence goes back")
        last = now
    for topic in world.inputs:
        group = world.cluster.offsets.get((topic, number))
        if group is not None and not world.network.counts.get("offsets_expired"):
            # It is told now and then (ADR 8), and never of what is not in the state.
            behind = group <= last.applied.get(topic, 0)
            ensure(
                behind, "offsets", f"lane {number}: the group has {group} of {topic}, the state {dict(last.applied)}"
            )


def _check_marks(world: World, number: int, written: dict[Transaction, Written]) -> None:
    """A transaction without a journal entry has written a position and nothing else."""
    for transaction, places in written.items():
        if transaction.producer != f"lane-{number}":
            continue
        journaled = len(places.get((topics.JOURNAL, number), ()))
        ensure(journaled <= 1, "journal", f"lane {number}: a transaction has {journaled} entries")
        if not journaled:
            keys = [record.key for record in places.get((topics.STATE, number), ())]
            alone = len(places) == 1 and keys == [POSITION_KEY]
            ensure(alone, "journal", f"lane {number}: a transaction without an entry has written {sorted(places)}")
    for topic in (topics.STATE, topics.JOURNAL):
        inside = all(record.transaction for record in world.cluster.partitions[topic, number].committed())
        ensure(inside, "journal", f"lane {number}: {topic} was written outside of a transaction")


def _check_copies(world: World, number: int, fold: Folded) -> None:
    """The changelog, and the local copy of the lane's owner, hold what the journal gives."""
    partition = world.cluster.partitions[topics.STATE, number]
    for what, records in (("all of the changelog", partition.archive), ("the compacted changelog", partition.records)):
        changelog = MemoryStore()
        for record in records:
            if record.committed:
                changelog.apply({record.key or b"": record.value})
        compare_state(fold.store, changelog.values, number, "changelog", what)
    owner = world.assigned[number]
    # One that a zombie has fenced since, and that had nothing to do, has not noticed yet: its copy is behind.
    if owner is not None and world.workers.holds(owner, number):
        state, index = keys_of(owner.database, number)
        compare_state(fold.store, state, number, "local store", f"the store of {owner.name}")
        compare_index(fold.store, index, number, f"the index of {owner.name}")


def _check_from_checkpoints(world: World, written: dict[Transaction, Written], folded: dict[int, Folded]) -> None:
    """Folding from a checkpoint comes to the same end as folding from nothing."""
    latest = dict(world.workers.checkpoints)
    for number, checkpoint in latest.items():
        settings = LaneSettings(number, world.profile.lanes, world.hops)
        if POSITION_KEY in checkpoint:
            again = fold_lane(world.cluster, settings, written, checkpoint)
            compare_state(folded[number].store, again.store.values, number, "checkpoint", "a fold from a checkpoint")


def _model(world: World, folded: dict[int, Folded]) -> Model:
    stepped_at = {
        (topic, number, offset): at
        for number, fold in folded.items()
        for (topic, offset), at in fold.stepped_at.items()
    }
    counts = world.network.counts
    fates = gather(world.cluster)
    dead = fates.dead_at_door.keys() | fates.dead_at_directives.keys()
    tenants = {}
    for at, tenant in enumerate(world.driver.plan.tenants):
        # Where the command that sets a tenant up was set aside, the defaults are in force.
        unset = replace(tenant, window_ms=WINDOW_MS, rate=0.0) if at in dead else tenant
        tenants[tenant.name] = unset
    return Model(
        tenants,
        world.driver.sent,
        fates,
        stepped_at,
        strikes=sum(counts.get(kind, 0) for kind in (*STRIKES, "killed_by_record")),
        agent_failures=counts.get("agent", 0),
        replays=replays.read(fates.audit),
    )


def _made(world: World, number: int) -> Counter[str]:
    """Count what a lane has written, by kind."""
    made: Counter[str] = Counter()
    for (topic, _), partition in world.cluster.partitions.items():
        for record in partition.committed():
            if record.producer != f"lane-{number}":
                continue
            if topic in INPUTS:
                made["moved"] += 1
            elif topic == ECHO:
                made["echo"] += 1
            elif topic == topics.SIGNALS:
                made["told"] += header_of(record, names.BY) is not None
            elif topic == topics.DEAD_LETTERS:
                made["dead " + (header_of(record, names.DEAD_HOP) or b"").decode()] += 1
                made["told"] -= header_of(record, names.BY) is not None
    return made


def _check_accounts(world: World, model: Model, folded: dict[int, Folded]) -> None:
    """The counters in state are what the topics hold."""
    for tenant in world.driver.plan.tenants:
        store = folded[tenant.lane].store
        packed, chain = store.get_many((account_key(tenant.name), count_key(tenant.name)))
        account = Account.load(packed, world.hops[0].ingest.settings.policy)
        mine = [sent for sent in world.driver.sent if sent.tenant == tenant.name]
        signals = [r for sent in mine for r in model.fates.signals.get(sent.seq, ())]
        dead = [r for sent in mine for r in model.fates.dead_at_door.get(sent.seq, ())]
        refused = sum(reason_of(r) in REFUSALS for r in dead)
        audited = [audit.read(r.value or b"") for r in model.fates.audit.get(tenant.name, ())]
        changes = sum(e.outcome is Status.SUCCEEDED and e.directive not in replays.KINDS for e in audited)
        if mine[0].seq in model.fates.dead_at_door:
            # The command that sets it up was set aside: what came before its first signal is not counted.
            refused = account.dead
        silent = len(model.missing.get(tenant.name, ()))
        got = (
            account.handled,
            account.duplicates,
            account.commands,
            account.dead,
            account.queued,
            account.queue_bytes,
        )
        wanted = (len(signals), silent, changes, refused, 0, 0)
        ensure(got == wanted, "counters", f"{tenant.name} has {got}, and the topics say {wanted}")
        signals.sort(key=lambda record: record.offset)
        count, expected = 0, b""
        for record in signals:
            seq = header_of(record, SEQ) or b""
            if model.fates.echoes.get(int(seq)):
                count, expected = count + 1, chained(expected.ljust(16, b"\0"), seq)
        same = COUNT.unpack(chain or COUNT.pack(0, b"")) == (count, expected.ljust(16, b"\0"))
        ensure(same, "second hop", f"{tenant.name}: the second hop's state is not what its signals give")
