"""The app: all routes, behind what holds for every one of them."""

import importlib.util
from typing import Final

from fastapi import APIRouter, Depends, FastAPI

from gateway.api.auth import viewer
from gateway.api.backend import Backend
from gateway.api.guard import Guard
from gateway.api.lockout import Lockout
from gateway.api.openapi import DocumentedApp
from gateway.api.overviews import Overviews
from gateway.api.problems import PROBLEMS, handle_problems
from gateway.api.routes import (
    certificates,
    converter_trials,
    converters,
    devices,
    events,
    health,
    integrations,
    login,
    me,
    metrics,
    overview,
    psk,
    quarantine,
    sessions,
    sinks,
    tokens,
    trust,
    users,
)
from gateway.api.routes import settings as settings_routes
from gateway.settings import Settings

PREFIX: Final = "/api/v1"
"""Where the routes are that need a log-in or a token."""

OPEN_ROUTERS: Final[tuple[APIRouter, ...]] = (health.router, metrics.router, login.router)
"""What anybody may ask; their paths are whole."""

ROUTERS: Final[tuple[APIRouter, ...]] = (
    me.router,
    users.router,
    tokens.router,
    overview.router,
    sessions.router,
    integrations.router,
    converter_trials.router,  # before the converters, whose names may have slashes in them
    converters.router,
    devices.router,
    events.router,
    quarantine.router,
    psk.router,
    trust.router,
    certificates.router,
    settings_routes.router,
    sinks.router,
)
"""What takes a log-in or token, under PREFIX."""


def make_app(settings: Settings, *, console: bool = True) -> FastAPI:
    """The API for one data directory, and, where it is installed and wanted, the console."""
    app = DocumentedApp(settings)
    app.state.backend = Backend(
        settings, Lockout(settings.gateway_http_lockout_failures, settings.gateway_http_lockout_seconds)
    )
    app.state.overviews = Overviews(app.state.backend)
    handle_problems(app)
    for router in OPEN_ROUTERS:
        app.include_router(router, responses=PROBLEMS)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX, dependencies=[Depends(viewer)], responses=PROBLEMS)
    if console and importlib.util.find_spec("nicegui") is not None:
        importlib.import_module("gateway.console").mount(app, settings)
    app.add_middleware(Guard, settings=settings)
    return app
