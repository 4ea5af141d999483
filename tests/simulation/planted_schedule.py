"""Planted bugs of directives that wait for their time."""

from typing import Final

from tests.simulation.mutation import Bug

HOP: Final = "processors.directives.hop:"

SCHEDULE_BUGS: Final = (
    Bug(
        "carried out early",
        "A directive is not carried out before its time.",
        HOP + "DirectivesHop._take",
        {"elif directive.due_ms > step.now_ms:": "elif directive.due_ms > step.now_ms + 1_500:"},
    ),
    Bug(
        "latest first",
        "What has fallen due is carried out in the order of its times.",
        HOP + "DirectivesHop.tick",
        {"DUE.due(step.overlay, step.now_ms, RUNS_MAX):": "reversed(DUE.due(step.overlay, step.now_ms, RUNS_MAX)):"},
    ),
    Bug(
        "expiry not looked at",
        "What expires while it waits is not carried out.",
        HOP + "DirectivesHop._fall_due",
        {"elif directive.expires_ms and": "elif False and"},
    ),
    Bug(
        "deleted, and what waits stays",
        "What waits for a tenant that is deleted is cancelled.",
        "processors.directives.definition:Place.waiting",
        {"for packed in found if packed is not None": "for packed in () if packed is not None"},
    ),
    Bug(
        "due and still waiting",
        "What has been carried out waits no longer.",
        HOP + "_taken_out",
        {"DUE.clear(step.overlay, due_ms, timed_name(tenant, key))": "pass"},
    ),
    Bug(
        "begun and not gone on with",
        "What is spread over several commits goes on until it is done.",
        HOP + "DirectivesHop._end",
        {"RUNNING.set(step.overlay, step.now_ms, timed_name(tenant, directive.key))": "pass"},
    ),
    Bug(
        "cleared without its reminder",
        "What is cleared leaves nothing behind.",
        "processors.directives.kinds.state:_go_on",
        {"ENDED.clear(step.overlay, directive.finished_ms + KEPT_MS, timed_name(tenant, directive.key))": "pass"},
    ),
)
