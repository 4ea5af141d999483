"""The planted bugs: each breaks one rule of the design, and some check must notice."""

from typing import Final

from tests.simulation.mutation import Bug
from tests.simulation.planted_schedule import SCHEDULE_BUGS

__all__ = ["BUGS", "Bug"]

OWNER: Final = "streams.lanes.owner:LaneOwner."
STORE: Final = "streams.lanes.store:RocksLaneStore."
KAFKA: Final = "tests.simulation.ports:SimulatedKafka."
CLUSTER: Final = "tests.simulation.log:Cluster."

BUGS: Final = (
    Bug(
        "restored before the fence",
        "Taking over: the fence comes first, for before it the old owner can still commit.",
        OWNER + "take_over",
        {
            "    self._writer = await": "    await self._restore()\n    self._writer = await",
            "    await self._restore()\n    self.position": "    self.position",
        },
    ),
    Bug(
        "fence skipped",
        "Taking over raises the epoch, so that the old owner can commit no more.",
        CLUSTER + "fence",
        {
            "    transaction = self.current.get(producer)\n": (
                "    if producer in self.epochs:\n"
                "        return self.epochs[producer]\n"
                "    transaction = self.current.get(producer)\n"
            )
        },
    ),
    Bug(
        "epoch not checked",
        "Requests of an older epoch are refused, however late they come.",
        CLUSTER + "_check",
        {"if self.epochs.get(producer) != epoch:": "if False:"},
    ),
    Bug(
        "group offsets instead of the state's",
        "What the restored state says it has applied is the truth; the group's offsets may be gone.",
        OWNER + "_restored_position",
        {"position.unpack(packed)": "replace(position.unpack(packed), applied=committed)"},
    ),
    Bug(
        "nothing dropped below the applied offset",
        "The client may have fetched records before the seek: what was applied is dropped.",
        OWNER + "_batch_of",
        {"least = applied.get(topic, 0)": "least = 0"},
    ),
    Bug(
        "begins one record late",
        "The reader begins where the restored state ends.",
        OWNER + "take_over",
        {"self.position.applied)": "{t: n + 1 for t, n in self.position.applied.items()})"},
    ),
    Bug(
        "producer used again after an error",
        "After any error in a transaction its producer is discarded.",
        OWNER + "_carry_out",
        {
            "end = await _there(self._writer).commit(commit, due=offsets)": (
                "try: end = await self._writer.commit(commit, due=offsets)\n"
                "    except Exception: end = await self._writer.commit(commit, due=offsets)"
            )
        },
    ),
    Bug(
        "local store written before the commit",
        "Changes stay in an overlay until the commit has returned.",
        OWNER + "_carry_out",
        {
            "    end = await": (
                "    self._store.apply(commit.changes, self._store.changelog_offset() or 0)\n    end = await"
            )
        },
    ),
    Bug(
        "offset in the local store without its changes",
        "Changes and changelog offset go into the local store together or not at all.",
        STORE + "apply",
        {
            "lane, batch = self._lane, WriteBatch(raw_mode=True)\n": (
                "lane, batch = self._lane, WriteBatch(raw_mode=True)\n"
                "    batch.put(lane + _OFFSET_KIND, _MARK.pack(changelog_offset, self._wall_ms()))\n"
                "    self._db.write(batch, self._options)\n"
                "    batch = WriteBatch(raw_mode=True)\n"
            )
        },
    ),
    Bug(
        "position not in the changelog",
        "The changelog carries the offsets that it reflects.",
        OWNER + "_carry_out",
        {"    end = await": "    if len(commit.changes) > 1: commit.changes.pop(POSITION_KEY)\n    end = await"},
    ),
    Bug(
        "restore stops short",
        "A lane is restored up to the changelog's last stable offset.",
        "tests.simulation.ports:Changelog._last",
        {"return self._partition.stable": "return max(0, self._partition.stable - 4)"},
    ),
    Bug(
        "changelog outside of the transaction",
        "Outputs, changelog, journal and offsets are one transaction.",
        CLUSTER + "produce",
        {
            "producer=producer, transaction=transaction,": (
                'producer=producer, transaction=None if topic == "state" else transaction,'
            )
        },
    ),
    Bug(
        "offsets outside of the transaction",
        "Outputs, changelog, journal and offsets are one transaction.",
        CLUSTER + "add_offsets",
        {
            "self.begin(producer, epoch).offsets.update(offsets)": (
                "self.begin(producer, epoch); self.offsets.update(offsets)"
            )
        },
    ),
    Bug(
        "old snapshot used",
        "A snapshot older than half of the tombstones' retention is thrown away: deleted keys would rise again.",
        STORE + "changelog_offset",
        {"return offset if": "return offset if True or"},
    ),
    Bug(
        "tombstones dropped at once",
        "The cleaner keeps tombstones for their retention.",
        "tests.simulation.log:Partition.compact",
        {"or now_ms < record.horizon_ms": ""},
    ),
    Bug(
        "seen ids in the store only",
        "Dedupe sees the ids of the same batch, too.",
        "processors.state:Overlay.seen",
        {"if fresh is not None and member in fresh:": "if False:"},
    ),
    Bug(
        "segments overwrite each other",
        "What one batch remembers in several places is kept, all of it.",
        "processors.state:Overlay.seal",
        {"fresh = self._fresh.get(hop)": "fresh = self._fresh.pop(hop, None)"},
    ),
    Bug(
        "newer members dropped with an old segment",
        "A member that was seen again belongs to the later segment.",
        STORE + "_index_segment",
        {"if found == mine:": "if True:"},
    ),
    Bug(
        "ids forgotten before the window ends",
        "An id is remembered for its tenant's window.",
        "processors.state:Overlay.seal",
        {"max(expires_ms,": "max(now_ms + (expires_ms - now_ms) // 4,"},
    ),
    Bug(
        "moved again",
        "A record is moved once; one that still is in a wrong lane is set aside.",
        "processors.ingest.hop:_move",
        {"if any(name == names.MOVED for name, _ in record.headers):": "if False:"},
    ),
    Bug(
        "traces of a step that was dropped",
        "What is kept ready between batches is handed over to a step, and lost with it.",
        OWNER + "_step",
        {"warm, self._warm = self._warm, {}": "warm = self._warm"},
    ),
    Bug(
        "stepped in the wrong lane",
        "Only the tenant's own lane steps its records.",
        "processors.ingest.hop:_elsewhere",
        {"!= step.lane": "!= step.lane and False"},
    ),
    Bug(
        "token given although others wait",
        "A tenant's signals stay in order: behind those that wait, even if there is a token.",
        "processors.ingest.hop:_signal",
        {"policy.held or account.queued or not account.take_token": "policy.held or not account.take_token"},
    ),
    Bug(
        "queue head not advanced",
        "What was released has left the queue.",
        "processors.ingest.queue:pop",
        {"account.queue_head += 1": "pass"},
    ),
    Bug(
        "tokens earned twice",
        "A tenant gets no more than its burst and its rate.",
        "processors.ingest.tenant:Account.refill",
        {"self.refilled_ms = now_ms": "pass"},
    ),
    Bug(
        "dead letter not written",
        "What fails goes to the dead letters.",
        "processors.dead_letters:_write",
        {"step.emit(": "verdict.stack or step.emit("},
    ),
    Bug(
        "time from the wall clock",
        "A lane's time never goes back.",
        OWNER + "_now_ms",
        {"lane.clock(self.position, self._clocks.wall_ms())": "self._clocks.wall_ms()"},
    ),
    Bug(
        "journal without one of its topics",
        "The journal names everything that was stepped.",
        "processors.lane:finish",
        {"if topic in batch.next_offsets": 'if topic in batch.next_offsets and topic != "commands"'},
    ),
    Bug(
        "journal without verdicts",
        "The journal names what was condemned instead of stepped.",
        "processors.lane:finish",
        {"journal.listed(batch.verdicts) if batch.verdicts else ()": "()"},
    ),
    Bug(
        "looped and not marked",
        "What was stepped in the transaction that wrote it is dropped when it is read back.",
        "processors.lane:_loop",
        {"[*headers, mark]": "headers"},
    ),
    Bug(
        "looped past a backlog",
        "An output is looped back only if none before it waits to be read back.",
        "processors.lane:_loopable",
        {"if not step.backlog.get(topic, 0) and": "if"},
    ),
    Bug(
        "backlog forgotten",
        "The next owner knows what waits to be read back.",
        "processors.position:unpack",
        {"        wire.backlog,\n": "        {},\n"},
    ),
    Bug(
        "killed for ever",
        "A record that kills its process is set aside after a bounded number of deaths.",
        OWNER + "take_over",
        {"if owners >= OWNERS_MAX": "if owners > 1_000_000"},
    ),
    Bug(
        "first batch not announced",
        "An owner writes down that it is about to step, so that its death is noticed.",
        OWNER + "turn",
        {"if not self._announced.issuperset(batch.records):": "if False:"},
    ),
    Bug(
        "one topic's batch speaks for all",
        "A record that kills cannot hide behind the first batch of another topic.",
        OWNER + "_proven",
        {"if topic in batch.records or": "if True or"},
    ),
    Bug(
        "the same key again",
        "A directive is carried out once for each key.",
        "processors.directives.hop:DirectivesHop._take",
        {"if before is not None:": "if before is None and False:"},
    ),
    Bug(
        "told and not kept",
        "What is told and audited is what state says.",
        "processors.directives.hop:DirectivesHop._write",
        {"step.overlay.put(head_key(tenant), pack(head))": "pass"},
    ),
    Bug(
        "rejected and carried out",
        "What is rejected changes nothing.",
        "processors.directives.hop:DirectivesHop._take",
        {"if directive.error:": "if directive.error and definition is None:"},
    ),
    Bug(
        "unknown replayid trusted",
        "Only what a directive has started counts as replayed: nobody gets round dedupe or rate by making an id up.",
        "processors.ingest.hop:_signal",
        {
            ".by_id.get(signal.replayid)) is not None:": (
                ".by_id.get(signal.replayid) or Replay(signal.replayid, Account(door.settings.policy, b''), 1 << 60)):"
            )
        },
    ),
    Bug(
        "replay identity forgotten",
        "A replay that was resumed writes what it has written before; each is handled once within it.",
        "processors.ingest.hop:_replayed",
        {"step.overlay.remember(HOP, member, step.now_ms)": "pass"},
    ),
    Bug(
        "replay forgotten before its end",
        "What a replay has met is remembered as long as it runs, whatever the tenant's window.",
        "processors.ingest.door:Door.close",
        {"max(now_ms + window_ms, self.kept_ms)": "now_ms + window_ms"},
    ),
    Bug(
        "replay charged to live signals",
        "A replay pays with its own tokens.",
        "processors.ingest.hop:_replayed",
        {"own.take_token(step.now_ms)": "account.take_token(step.now_ms)"},
    ),
    Bug(
        "replayed after its end",
        "What carries the id of a replay that has ended is set aside.",
        "processors.ingest.hop:_replayed",
        {"if not replay.runs(step.now_ms):": "if replay.standing == 'stopped':"},
    ),
    Bug(
        "due time forgotten",
        "What is deferred is released in time, on an idle lane, too.",
        OWNER + "_commit",
        {"self.due_ms = 0": "pass"},
    ),
    *SCHEDULE_BUGS,
)
