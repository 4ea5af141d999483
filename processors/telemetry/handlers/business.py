"""What was bought and paid, by tenant and currency; each event once, however often it is read."""

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from processors.telemetry import catalogue, events
from processors.telemetry.event import Told
from processors.telemetry.handlers.handler import Count

SEEN_MAX: Final = 50_000
"""Events that are known again when they come twice."""
CURRENCIES_MAX: Final = 20
_OTHER: Final = "other"
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_PAID: Final = (events.PAYMENT.name, events.SUBSCRIBED.name)
_BOUGHT: Final = (events.PURCHASED.name, events.SUBSCRIBED.name)


class Business:
    """See `handler.Handler`."""

    name = "business"

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._revenue: dict[str, dict[str, float]] = {}
        self._purchases: dict[str, int] = {}
        self._currencies: set[str] = set()

    def wants(self, event: str) -> bool:
        """What tenants' signals tell of money."""
        return event in events.FROM_SIGNALS

    def take(self, one: Told) -> Iterable[Count]:
        """See `handler.Handler`."""
        if one.id and not self._first(one.id):
            return
        tenant = self._tenant(one.tenant)
        amount = one.measurements.get("amount", 0.0)
        if one.event in _BOUGHT:
            self._purchases[tenant] = self._purchases.get(tenant, 0) + 1
            yield Count(catalogue.PURCHASES, (tenant,))
        if one.event in _PAID and amount:
            currency = self._currency(str(one.metadata.get("currency", "")))
            mine = self._revenue.setdefault(tenant, {})
            mine[currency] = mine.get(currency, 0.0) + amount
            yield Count(catalogue.REVENUE, (tenant, currency), amount)

    def _first(self, id_: str) -> bool:
        if id_ in self._seen:
            return False
        self._seen[id_] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return True

    def _tenant(self, tenant: str) -> str:
        known = tenant in self._revenue or tenant in self._purchases
        full = len(self._revenue.keys() | self._purchases.keys()) >= catalogue.TENANTS_MAX
        return tenant if known or not full else catalogue.OTHER_TENANTS

    def _currency(self, currency: str) -> str:
        if currency not in self._currencies:
            if not _CURRENCY.fullmatch(currency) or len(self._currencies) >= CURRENCIES_MAX:
                return _OTHER
            self._currencies.add(currency)
        return currency

    def summary(self) -> dict[str, Any]:
        """See `handler.Handler`."""
        tenants = sorted(self._revenue.keys() | self._purchases.keys())
        return {
            tenant: {"purchases": self._purchases.get(tenant, 0), "revenue": self._revenue.get(tenant, {})}
            for tenant in tenants
        }
