"""Channels: how people and programs are told of alerts. `docs/channels.md` says how each is set up."""

from streams.channels.host import Became, Channels, Standing
from streams.channels.loading import Channel, ChannelsError, console, load
from streams.channels.sending import Answer

__all__ = ["Answer", "Became", "Channel", "Channels", "ChannelsError", "Standing", "console", "load"]
