"""What the command line says when something expected fails: one line what happened, one line what to do."""

import sys
from typing import IO, Any, Final

import click
from typing_extensions import override

from processors.position import UnreadableFormatError
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError
from streams.broker.errors import BrokerError
from streams.cluster import NoClusterError
from streams.gateway.errors import NotLoopbackError, PortTakenError
from streams.history.store import HistoryError
from streams.settings import SettingsError

FAILED: Final = 1
MISUSED: Final = 2


class CommandError(click.ClickException):
    """A failure that its reader can do something about."""

    def __init__(self, what: str, remedy: str = "", *, code: int = FAILED) -> None:
        super().__init__(what)
        self.remedy = remedy
        self.exit_code = code

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        stream = file or sys.stderr
        click.echo(f"error: {self.message}", file=stream)
        if self.remedy:
            click.echo(f"  do: {self.remedy}", file=stream)


_REMEDIES: Final[dict[type[Exception], tuple[int, str]]] = {
    SettingsError: (MISUSED, "mend the setting; `hopline config --help` says where settings come from"),
    NotLoopbackError: (MISUSED, ""),
    NoClusterError: (FAILED, ""),
    KafkaAwayError: (FAILED, "see whether the cluster runs (`make up` starts one), and what HOPLINE_KAFKA says"),
    TopicMismatchError: (FAILED, "mend the topics or the settings as said above, then start again"),
    TopicsMissingError: (FAILED, ""),
    BrokerError: (FAILED, ""),
    PortTakenError: (FAILED, ""),
    HistoryError: (FAILED, ""),
    UnreadableFormatError: (FAILED, "use the version of Hopline that wrote it, or a newer one"),
}
EXPECTED: Final = tuple(_REMEDIES)


def explained(error: Exception) -> CommandError:
    """Return an expected failure in the command line's form."""
    code, remedy = next(found for kind, found in _REMEDIES.items() if isinstance(error, kind))
    what = str(error)
    if not remedy and "\n" not in what:
        # These say both; what to do comes after a semicolon or as the last sentence.
        for separator in ("; ", ". "):
            head, found, tail = what.rpartition(separator)
            if found:
                what, remedy = head, tail
                break
    return CommandError(what, remedy, code=code)
