"""What a check raises when a rule does not hold."""


class ViolationError(Exception):
    """A rule does not hold. `rule` is its name."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


def ensure(holds: object, rule: str, message: str) -> None:
    """Raise a violation unless a condition holds."""
    if not holds:
        raise ViolationError(rule, message)
