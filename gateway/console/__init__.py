"""The web console. It does what it does by the REST API alone, in the name of whoever is logged in.

An extra, `gateway[console]`: nothing else of the package imports it. It is served below `/console`, so that a proxy can
let it through or keep it back by its path, and so that its content security policy is its own.
"""

from fastapi import FastAPI

from gateway.settings import Settings


def mount(app: FastAPI, settings: Settings) -> None:
    """Serve the console with the API's application, which must have its routes. Once in a process.

    Raises ImportError where the extra is not installed.
    """
    from gateway.console.serving import serve_with

    serve_with(app, settings)
