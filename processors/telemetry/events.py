"""Every telemetry event, declared once: what it says, what is measured, who tells it."""

from typing import Final

from processors.telemetry.event import Event, Level, Share, Unit

_COUNT: Final = {"count": Unit.COUNT}
_TOOK: Final = {"seconds": Unit.SECONDS}
_WORK: Final = {"seconds": Unit.SECONDS, "records": Unit.COUNT}
_WORKER, _GATEWAY, _HISTORY, _WATCH, _ANY = "worker", "gateway", "history", "watch", "any process"
_WARNING, _ERROR, _SOME = Level.WARNING, Level.ERROR, Share.SOME

# Hops: each tells these three, with its name in `hop`.
HOP_START: Final = Event("hop.start", "A hop begins to step a batch.", {"records": Unit.COUNT}, share=_SOME, by=_WORKER)
HOP_STOP: Final = Event(
    "hop.stop", "A batch was committed; how long this hop took for it.", _WORK, share=_SOME, by=_WORKER
)
HOP_EXCEPTION: Final = Event(
    "hop.exception", "A hop raised, or did not answer in time.", {}, {"error": str}, _ERROR, by=_WORKER
)
HOP_SLOW: Final = Event(
    "hop.slow",
    "Records of a commit were older than `slow_seconds`; `seconds` is the worst of them.",
    {"count": Unit.COUNT, "seconds": Unit.SECONDS},
    {},
    _WARNING,
    by=_WORKER,
)

# Signals.
SIGNAL_DEAD: Final = Event(
    "signal.dead_lettered",
    "Records of a tenant were set aside for one reason in one commit.",
    _COUNT,
    {"reason": str, "topic": str, "first_offset": int, "last_offset": int},
    _ERROR,
    by=_WORKER,
)
SIGNAL_REPLAYED: Final = Event("signal.replayed", "Signals were let in again.", _COUNT, {"replay": str}, by=_WORKER)
SIGNAL_DEFERRED: Final = Event(
    "signal.deferred", "Signals wait for their tenant's turn.", _COUNT, share=_SOME, by=_WORKER
)

# Directives.
DIRECTIVE_REQUESTED: Final = Event(
    "directive.requested", "Directives wait for their time.", _COUNT, {"kind": str}, share=_SOME, by=_WORKER
)
DIRECTIVE_RUNNING: Final = Event(
    "directive.running", "Directives are spread over several commits.", _COUNT, {"kind": str}, share=_SOME, by=_WORKER
)
DIRECTIVE_SUCCEEDED: Final = Event(
    "directive.succeeded", "Directives were carried out.", _COUNT, {"kind": str}, share=_SOME, by=_WORKER
)
DIRECTIVE_CANCELLED: Final = Event(
    "directive.cancelled", "Directives that waited were taken back.", _COUNT, {"kind": str}, share=_SOME, by=_WORKER
)
DIRECTIVE_FAILED: Final = Event(
    "directive.failed",
    "A directive could not be carried out.",
    {"late_seconds": Unit.SECONDS},
    {"kind": str, "key": str, "error": str},
    _ERROR,
    by=_WORKER,
)
DIRECTIVE_REJECTED: Final = Event(
    "directive.rejected",
    "A directive must not be carried out.",
    {},
    {"kind": str, "key": str, "error": str},
    _WARNING,
    by=_WORKER,
)

# Lanes and workers.
LANE_TAKEN: Final = Event("lane.taken", "A worker owns a lane.", _TOOK, by=_WORKER)
LANE_LOST: Final = Event("lane.lost", "A lane could not be taken or kept.", {}, {"outcome": str}, _WARNING, by=_WORKER)
LANE_ASSIGNED: Final = Event("lane.assigned", "The group gave lanes to a worker.", _COUNT, by=_WORKER)
SYSTEM_STARTED: Final = Event("system.started", "A process began.", {}, {"version": str}, by=_ANY)
SYSTEM_STOPPED: Final = Event("system.stopped", "A process ended as it should.", {}, by=_ANY)
SYSTEM_DROPPED: Final = Event("system.telemetry_dropped", "Telemetry was lost.", _COUNT, {}, _WARNING, by=_ANY)

# The gateway.
GATEWAY_REFUSED: Final = Event(
    "gateway.refused", "Events were refused at the gateway.", _COUNT, {"reason": str}, _WARNING, _SOME, by=_GATEWAY
)
GATEWAY_UNAVAILABLE: Final = Event(
    "gateway.unavailable", "Events could not be written: Kafka is away.", _COUNT, {}, _ERROR, _SOME, by=_GATEWAY
)
RATE_LIMIT_EXCEEDED: Final = Event(
    "rate_limit.exceeded", "A caller was over its rate.", _COUNT, {"channel": str}, _WARNING, _SOME, by=_GATEWAY
)
USER_KEY_USED: Final = Event("user.api_key_used", "API keys were used.", _COUNT, {}, share=_SOME, by=_GATEWAY)
USER_LIMIT_EXCEEDED: Final = Event(
    "user.limit_exceeded",
    "A tenant's records were refused for its limits.",
    _COUNT,
    {"limit": str},
    _WARNING,
    by=_WORKER,
)

# History, alerts, ledger.
HISTORY_BEHIND: Final = Event("history.behind", "History lags.", _TOOK, {}, _WARNING, _SOME, by=_HISTORY)
ALERT_RAISED: Final = Event(
    "alert.raised",
    "An alert is raised.",
    {"value": Unit.COUNT, "threshold": Unit.COUNT},
    {"alert": str, "severity": str},
    _WARNING,
    by=_WATCH,
)
ALERT_CLEARED: Final = Event("alert.cleared", "An alert is over.", _TOOK, {"alert": str, "severity": str}, by=_WATCH)
CHANNEL_TOLD: Final = Event("channel.told", "A channel took an alert.", _TOOK, {"channel": str}, by=_WATCH)
CHANNEL_FAILED: Final = Event(
    "channel.failed",
    "A channel did not take an alert.",
    {"attempts": Unit.COUNT},
    {"channel": str, "error": str},
    _ERROR,
    by=_WATCH,
)
LEDGER_MISMATCH: Final = Event(
    "ledger.mismatch", "The topics do not add up.", _COUNT, {"fault": str}, _ERROR, by=_WATCH
)
KAFKA_AWAY: Final = Event("kafka.away", "The prober does not reach Kafka.", _TOOK, {}, _ERROR, _SOME, by=_WATCH)

# What tenants' own signals tell: a signal of this type is told as this event.
PAYMENT: Final = Event(
    "billing.payment_processed",
    "Somebody paid.",
    {"amount": Unit.MONEY},
    {"currency": str, "package": str},
    by=_WORKER,
    from_signals=True,
)
PAYMENT_FAILED: Final = Event(
    "billing.payment_failed",
    "A payment failed.",
    {"amount": Unit.MONEY},
    {"currency": str, "package": str},
    _ERROR,
    by=_WORKER,
    from_signals=True,
)
PURCHASED: Final = Event(
    "user.package_purchased",
    "Somebody bought a package.",
    {"amount": Unit.MONEY},
    {"currency": str, "package": str},
    by=_WORKER,
    from_signals=True,
)
SUBSCRIBED: Final = Event(
    "user.subscription_created",
    "Somebody subscribed.",
    {"amount": Unit.MONEY},
    {"currency": str, "package": str},
    by=_WORKER,
    from_signals=True,
)

# Declared now, told by the hops to come: names that dashboards and handlers can count on.
PACKAGE_START: Final = Event("package.start", "A package begins.", {}, {"package": str})
PACKAGE_STOP: Final = Event("package.stop", "A package ended.", _TOOK, {"package": str})
PACKAGE_EXCEPTION: Final = Event(
    "package.exception", "A package failed.", _TOOK, {"package": str, "error": str}, _ERROR
)
PACKAGE_TIMEOUT: Final = Event("package.timeout", "A package took too long.", _TOOK, {"package": str}, _ERROR)
PACKAGE_RETRY: Final = Event("package.retry", "A package is tried again.", _COUNT, {"package": str}, _WARNING)
SKILL_MATCHED: Final = Event("skill.matched", "A signal matched a skill's route.", _COUNT, {"skill": str}, share=_SOME)
SKILL_INSTALLED: Final = Event("skill.installed", "A tenant installed a skill.", {}, {"skill": str, "version": str})
SKILL_REMOVED: Final = Event("skill.removed", "A tenant removed a skill.", {}, {"skill": str, "version": str})
WORKFLOW_START: Final = Event("workflow.start", "A run begins.", {}, {"workflow": str, "run": str})
WORKFLOW_STOP: Final = Event("workflow.stop", "A run ended.", _TOOK, {"workflow": str, "run": str})
WORKFLOW_EXCEPTION: Final = Event(
    "workflow.exception", "A run failed.", _TOOK, {"workflow": str, "run": str, "error": str}, _ERROR
)
EFFECT_START: Final = Event("effect.start", "An effect is dispatched.", {}, {"effect": str}, share=_SOME)
EFFECT_STOP: Final = Event("effect.stop", "An effect's outcome counts.", _TOOK, {"effect": str}, share=_SOME)
EFFECT_EXCEPTION: Final = Event("effect.exception", "An effect failed.", _TOOK, {"effect": str, "error": str}, _ERROR)
AGENT_ONLINE: Final = Event("agent.online", "An agent can take tasks.", {}, {"agent": str})
AGENT_OFFLINE: Final = Event("agent.offline", "An agent is gone.", {}, {"agent": str}, _WARNING)
TASK_SUBMITTED: Final = Event("task.submitted", "A task waits for an agent.", {}, {"task": str})
TASK_ASSIGNED: Final = Event("task.assigned", "An agent has a task.", _TOOK, {"task": str, "agent": str})
TASK_COMPLETED: Final = Event("task.completed", "An agent has done a task.", _TOOK, {"task": str, "agent": str})
TASK_FAILED: Final = Event("task.failed", "A task failed.", _TOOK, {"task": str, "agent": str, "error": str}, _ERROR)
CACHE_HIT: Final = Event("cache.hit", "A cache had it.", _COUNT, {"cache": str}, share=_SOME)
CACHE_MISS: Final = Event("cache.miss", "A cache did not have it.", _COUNT, {"cache": str}, share=_SOME)
PUBLISHED: Final = Event(
    "marketplace.package_published", "A package was published.", {}, {"package": str, "version": str}
)

EVENTS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Event))
BY_NAME: Final = {event.name: event for event in EVENTS}
FROM_SIGNALS: Final = {event.name: event for event in EVENTS if event.from_signals}
"""By the type of a tenant's signal."""
