"""What the ledger check can find: a closed set of faults, each with what it means."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from typing_extensions import override

LANE: Final = "lane"
"""Stands for the hop of a fault that concerns no hop in particular."""


class Fault(StrEnum):
    """What is wrong. Each value is explained in `EXPLAINED`."""

    JOURNAL_GAP = "journal_gap"
    JOURNAL_REPEATED = "journal_repeated"
    JOURNAL_MISSING = "journal_missing"
    RANGE_JUMPS = "range_jumps"
    RANGE_OVERLAPS = "range_overlaps"
    RANGE_BEYOND_END = "range_beyond_end"
    TIME_WENT_BACK = "time_went_back"
    POSITION_MISSING = "position_missing"
    POSITION_DIFFERS = "position_differs"
    POSITION_WENT_BACK = "position_went_back"
    UNBALANCED = "unbalanced"
    TERM_DIFFERS = "term_differs"
    TERM_WENT_BACK = "term_went_back"
    OUTPUT_TWICE = "output_twice"
    DEAD_TWICE = "dead_twice"
    ENDED_TWICE = "ended_twice"
    UNFOUNDED = "unfounded"
    OUT_OF_ORDER = "out_of_order"
    WITHOUT_COMMIT = "without_commit"
    OUTSIDE_TRANSACTION = "outside_transaction"
    WRONG_LANE = "wrong_lane"
    MOVED_LOST = "moved_lost"
    MOVED_TWICE = "moved_twice"
    TELLING_DIFFERS = "telling_differs"
    AUDIT_BROKEN = "audit_broken"
    UNREADABLE = "unreadable"


EXPLAINED: Final[dict[Fault, str]] = {
    Fault.JOURNAL_GAP: "The journal misses commits: what they stepped cannot be folded again.",
    Fault.JOURNAL_REPEATED: "A commit number stands in the journal twice: two owners committed for one lane.",
    Fault.JOURNAL_MISSING: "The state has gone on, and the journal has not.",
    Fault.RANGE_JUMPS: "A commit begins behind the end of the one before: records in between were never stepped.",
    Fault.RANGE_OVERLAPS: "A commit begins before the end of the one before: records were stepped twice.",
    Fault.RANGE_BEYOND_END: "A commit says it stepped records that are not in the topic.",
    Fault.TIME_WENT_BACK: "The lane's time runs backwards.",
    Fault.POSITION_MISSING: "A commit is in the journal, and its position is not in the state.",
    Fault.POSITION_DIFFERS: "Journal and state disagree on what a commit has applied.",
    Fault.POSITION_WENT_BACK: "The state has gone back to an older position.",
    Fault.UNBALANCED: "The lane's own ledger does not add up.",
    Fault.TERM_DIFFERS: "A term of the ledger says something else than the topics hold.",
    Fault.TERM_WENT_BACK: "A term of the ledger that only ever grows has become less.",
    Fault.OUTPUT_TWICE: "One input record was written to the output twice.",
    Fault.DEAD_TWICE: "One input record was dead-lettered twice.",
    Fault.ENDED_TWICE: "One input record has ended in two ways, such as handled and dead-lettered.",
    Fault.UNFOUNDED: "An output names an input record that is not there or was not stepped.",
    Fault.OUT_OF_ORDER: "A tenant's output is not in the order of its input; or an old one was written again.",
    Fault.WITHOUT_COMMIT: "An output belongs to no commit of its lane.",
    Fault.OUTSIDE_TRANSACTION: "An output was written outside of its commit's transaction.",
    Fault.WRONG_LANE: "An output stands in another lane than its tenant's.",
    Fault.MOVED_LOST: "A record was moved to its lane and has not arrived there.",
    Fault.MOVED_TWICE: "A record was moved to its lane once and has arrived more than once.",
    Fault.TELLING_DIFFERS: "What the pipeline was told of a directive is not what its audit says.",
    Fault.AUDIT_BROKEN: "A line of the audit does not follow from the one before it.",
    Fault.UNREADABLE: "A record of the journal or the state cannot be read.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, where it is, and how many records it concerns."""

    fault: Fault
    lane: int
    hop: str
    text: str
    """In words, with offsets and numbers: what was expected and what is there."""
    records: int = 1
    """How many; less than none where the topics hold too few."""
    at_ms: int = 0
    """The lane's time."""

    @override
    def __str__(self) -> str:
        return f"lane {self.lane}, {self.hop}: {self.fault.value}: {self.text}"
