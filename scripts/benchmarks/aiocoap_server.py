"""aiocoap's own server with one resource that answers 2.01 Created to each POST, for comparison."""

import asyncio
import logging
import signal
import sys

import aiocoap
import aiocoap.resource


class _Created(aiocoap.resource.Resource):  # type: ignore[misc]  # aiocoap has no types
    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(code=aiocoap.CREATED)


async def _serve(host: str, port: int, path: list[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    logging.getLogger("coap-server").setLevel(logging.ERROR)
    site = aiocoap.resource.Site()
    site.add_resource(path, _Created())
    context = await aiocoap.Context.create_server_context(site, bind=(host, port))
    await stop.wait()
    await context.shutdown()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3].split("/")))
