"""The kinds of directives, one module each. A new one is a module here and a line in `ALL`."""

from typing import Any, Final

from processors.directives.definition import Definition
from processors.directives.kinds import cancel, hold, limits, replay, tenant_set, tenant_status

ALL: Final[tuple[Definition[Any], ...]] = (
    *tenant_status.DEFINITIONS,
    tenant_set.DEFINITION,
    limits.DEFINITION,
    *hold.DEFINITIONS,
    *replay.DEFINITIONS,
    cancel.DEFINITION,
)
BY_NAME: Final[dict[str, Definition[Any]]] = {definition.name: definition for definition in ALL}
