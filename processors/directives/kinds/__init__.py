"""The kinds of directives, one module each. A new one is a module here and a line in `ALL`."""

from typing import Any, Final

from processors.directives.definition import Definition
from processors.directives.kinds import (
    alert_silence,
    alert_threshold,
    cancel,
    gateway_limits,
    hold,
    integrations,
    key_create,
    key_revoke,
    key_rotate,
    limits,
    replay,
    state,
    tenant_set,
    tenant_status,
    type_register,
)

ALL: Final[tuple[Definition[Any], ...]] = (
    *tenant_status.DEFINITIONS,
    tenant_set.DEFINITION,
    limits.DEFINITION,
    *hold.DEFINITIONS,
    *integrations.DEFINITIONS,
    *state.DEFINITIONS,
    *type_register.DEFINITIONS,
    gateway_limits.DEFINITION,
    *replay.DEFINITIONS,
    cancel.DEFINITION,
    key_create.DEFINITION,
    key_rotate.DEFINITION,
    key_revoke.DEFINITION,
    alert_threshold.DEFINITION,
    *alert_silence.DEFINITIONS,
)
BY_NAME: Final[dict[str, Definition[Any]]] = {definition.name: definition for definition in ALL}
