"""The bare path's door: an HTTP handler that produces what it gets and answers once Kafka has it."""

import asyncio
import sys

import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

from bench.peers.work import Task, task


async def serve(wanted: Task, port: int) -> None:
    """Serve until told to stop."""
    producer: AIOKafkaProducer[bytes, bytes] = AIOKafkaProducer(bootstrap_servers=wanted.kafka, acks="all", linger_ms=0)
    await producer.start()

    async def signals(request: web.Request) -> web.Response:
        body = await request.read()
        await producer.send_and_wait(wanted.source, body, key=orjson.loads(body)["tenantid"].encode())
        return web.Response(status=202)

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ready\n")

    app = web.Application()
    app.add_routes([web.post("/v1/signals", signals), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        await producer.stop()


if __name__ == "__main__":
    uvloop.run(serve(task(), int(sys.argv[2])))
