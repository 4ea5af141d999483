"""Replay and redrive: read again what a topic holds, choose, mark, and send it through the door again."""
