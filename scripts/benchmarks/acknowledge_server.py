"""The gateway's listener and endpoint with nothing behind them: each request is answered 2.01 at once.

What it costs is what a request costs before anything is done for it: socket, message layer, routing.
"""

import asyncio
import gc
import signal
import sys

from gateway.listeners.batch_socket import bind_group
from gateway.listeners.plain import PlainListener
from gateway.metrics import Metrics
from gateway.model import Code, Outcome
from gateway.settings import load_settings

_CREATED = Outcome(Code.CREATED)


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listener = PlainListener(
        bind_group(host, port, 1)[0],
        load_settings(),
        resolve=lambda request: lambda payload, received_ms, ticket: _CREATED,
        endpoints=lambda: (),
        metrics=Metrics(),
    )
    listener.start()
    # As the worker does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    await stop.wait()
    await listener.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
