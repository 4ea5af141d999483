"""`hopline topics`: where each topic stands, what waits in it, how large it is."""

from collections.abc import Sequence
from typing import Any

import click

from streams.cli.access import access, run
from streams.cli.output import json_option, print_json, print_table, size
from streams.standing import LaneStanding, standings
from streams.topics import TOPICS, Topic


@click.command()
@click.option("--lanes", "by_lane", is_flag=True, help="Show each lane instead of each topic.")
@json_option
def topics(*, by_lane: bool, as_json: bool) -> None:
    """Show the topics: records, lag up to the last stable offset, open transactions, size on disk."""
    at = access()
    found = run(standings(at.kafka, at.topics, at.lanes, group=at.group))
    if as_json:
        print_json([_topic(at.topics.physical(topic.name), topic, found) for topic in TOPICS])
    elif by_lane:
        print_table(
            ("TOPIC", "LANE", "BEGIN", "STABLE", "END", "APPLIED", "LAG", "OPEN", "SIZE"),
            [
                (
                    lane.topic,
                    lane.lane,
                    lane.begin,
                    lane.stable,
                    lane.end,
                    lane.applied,
                    lane.lag,
                    lane.open,
                    size(lane.size_bytes),
                )
                for lane in found
            ],
        )
    else:
        rows = [_topic(at.topics.physical(topic.name), topic, found) for topic in TOPICS]
        print_table(
            ("TOPIC", "LANES", "OFFSETS", "LAG", "OPEN", "SIZE", "WHAT IT HOLDS"),
            [
                (
                    row["topic"],
                    at.lanes,
                    row["offsets"],
                    row["lag"],
                    row["open"],
                    size(row["size_bytes"]),
                    row["purpose"],
                )
                for row in rows
            ],
        )


def _topic(physical: str, topic: Topic, found: Sequence[LaneStanding]) -> dict[str, Any]:
    """Return a topic's lanes and what they come to. `offsets` counts transactions' markers, too."""
    lanes = [lane for lane in found if lane.topic == topic.name]
    lags = [lane.lag for lane in lanes if lane.lag is not None]
    sizes = [lane.size_bytes for lane in lanes if lane.size_bytes is not None]
    return {
        "topic": physical,
        "purpose": topic.purpose,
        "offsets": sum(lane.stable - lane.begin for lane in lanes),
        "lag": sum(lags) if lags else None,
        "open": sum(lane.open for lane in lanes),
        "size_bytes": sum(sizes) if sizes else None,
        "lanes": [
            {
                "lane": lane.lane,
                "begin": lane.begin,
                "last_stable": lane.stable,
                "high_watermark": lane.end,
                "applied": lane.applied,
                "lag": lane.lag,
                "size_bytes": lane.size_bytes,
            }
            for lane in lanes
        ],
    }
