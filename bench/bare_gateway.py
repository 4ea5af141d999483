"""`python -m bench.bare_gateway`: the least that takes events over HTTP into Kafka with acks=all.

A single event is written as it came, unread. A batch must be taken apart, for each event is a record.
"""

import argparse
import asyncio
import sys

import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer


async def serve(kafka: str, topic: str, port: int) -> None:
    """Serve until ended."""
    # aiokafka's own defaults but for acks: it sends at once (`linger_ms=0`), and batches what comes meanwhile.
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()

    async def signals(request: web.Request) -> web.Response:
        body = await request.read()
        if "batch" in request.content_type:
            sent = [await producer.send(topic, orjson.dumps(one)) for one in orjson.loads(body)]
            await asyncio.gather(*sent)
        else:
            await producer.send_and_wait(topic, body)
        return web.json_response({"status": "accepted"}, status=202)

    app = web.Application(client_max_size=16 * 1_048_576)
    app.router.add_post("/v1/signals", signals)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("listening", file=sys.stderr, flush=True)
    try:
        await asyncio.Event().wait()  # forever: until the process is ended
    finally:
        await producer.stop()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    uvloop.run(serve(asked.kafka, asked.topic, asked.port))


if __name__ == "__main__":
    main()
