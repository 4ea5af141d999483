"""Who may come in and how often: rates by caller, channel and tier, and a pause for those who keep sending rubbish."""

from processors.admission.conduct import Conduct
from processors.admission.limiter import Decision, Limiter
from processors.admission.table import Channel, Limit, Table, Tier

__all__ = ["Channel", "Conduct", "Decision", "Limit", "Limiter", "Table", "Tier"]
