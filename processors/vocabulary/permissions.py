"""What somebody can be allowed to do: each permission stands here and nowhere else."""

from collections.abc import Collection
from typing import Final

EVERYTHING: Final = "*"
SIGNAL_READ: Final = "signal:read"
SIGNAL_WRITE: Final = "signal:write"
TENANT_WRITE: Final = "tenant:write"
LIMIT_READ: Final = "limit:read"
LIMIT_WRITE: Final = "limit:write"
TYPE_WRITE: Final = "type:write"
AGENT_WRITE: Final = "agent:write"
DIRECTIVE_READ: Final = "directive:read"
DIRECTIVE_WRITE: Final = "directive:write"
KEY_WRITE: Final = "key:write"
INTEGRATION_WRITE: Final = "integration:write"
REPLAY_WRITE: Final = "replay:write"
STATE_READ: Final = "state:read"
STATE_WRITE: Final = "state:write"
METRIC_READ: Final = "metric:read"
ALERT_READ: Final = "alert:read"
ALERT_WRITE: Final = "alert:write"

PERMISSIONS: Final = {
    SIGNAL_READ: "see signals as they come",
    SIGNAL_WRITE: "send signals",
    TENANT_WRITE: "create, suspend, resume and delete a tenant, and set its policy",
    LIMIT_READ: "see the limits of the gateway, and how much of them is left",
    LIMIT_WRITE: "set a tenant's rate, burst and queue",
    TYPE_WRITE: "register types of signals",
    AGENT_WRITE: "hold a tenant's signals, and let them go on",
    DIRECTIVE_READ: "see what was asked of a tenant and what came of it",
    DIRECTIVE_WRITE: "take back a directive that waits",
    KEY_WRITE: "create, rotate and revoke keys that may no more than oneself",
    INTEGRATION_WRITE: "set and delete a tenant's integrations, and erase its secrets",
    REPLAY_WRITE: "let replays begin and end",
    STATE_READ: "have a tenant's state written down",
    STATE_WRITE: "clear a tenant's state",
    METRIC_READ: "see how the pipeline works: charts, and a tenant's own figures",
    ALERT_READ: "see alerts, their thresholds and silences",
    ALERT_WRITE: "move thresholds, silence alerts and try channels",
}
"""The closed list, with what each allows. `*` is all of it, of today and of later versions."""


def allows(granted: Collection[str], permission: str) -> bool:
    """Tell whether what was granted includes a permission."""
    return EVERYTHING in granted or permission in granted


def lacking(granted: Collection[str], wanted: Collection[str]) -> list[str]:
    """Return what is wanted and not granted."""
    return [] if EVERYTHING in granted else sorted(set(wanted).difference(granted))
