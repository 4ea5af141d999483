"""Quix Streams: a dataframe with state, exactly-once, as its documentation has it."""

from typing import Final

from quixstreams import Application, State

from bench.peers.work import Event, Report, enrich, on_stop, seen_as, task, valid

COMMIT_SECONDS: Final = 1.0
COUNT: Final = "count"


def main() -> None:
    """Run until told to stop, then say what it did."""
    wanted = task()
    report = Report()
    app = Application(
        broker_address=wanted.kafka,
        consumer_group=wanted.name,
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        state_dir=wanted.data_dir,
        loglevel="WARNING",
        auto_create_topics=True,
        consumer_extra_config={"fetch.message.max.bytes": 4 * 1_048_576},
        producer_extra_config={"linger.ms": 5, "batch.size": 1_000_000, "queue.buffering.max.messages": 1_000_000},
    )
    source = app.topic(wanted.source, key_deserializer="bytes", value_deserializer="json")
    sink = app.topic(wanted.sink, key_serializer="bytes", value_serializer="json")

    def lane(event: Event, state: State) -> list[Event]:
        report.consumed()
        report.stepped()
        if not valid(event):
            return []
        known = seen_as(event)
        if state.exists(known):
            return []
        state.set(known, 1)
        state.set(COUNT, state.get(COUNT, 0) + 1)
        return [enrich(event)]

    frame = app.dataframe(source).apply(lane, stateful=True, expand=True)
    frame.to_topic(sink)
    on_stop(app.stop)
    app.run()
    report.print(f"{COMMIT_SECONDS} s", "quixstreams", "confluent-kafka", "rocksdict")


if __name__ == "__main__":
    main()
