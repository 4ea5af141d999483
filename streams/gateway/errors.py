"""What keeps the gateway from being started."""


class NotLoopbackError(Exception):
    """The gateway was told to listen where others can reach it."""


class PortTakenError(Exception):
    """Another program listens on the gateway's port."""
