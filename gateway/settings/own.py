"""The gateway's own settings: files, bounds, converters, log."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from gateway.settings.fields import BaseUrl, LogFormat, RateLimits


class GatewaySettings(BaseModel):
    """What is neither a listener's nor a sink's."""

    gateway_data_dir: Path = Field(Path("var"), description="Folder of the SQLite files")
    gateway_workers: int = Field(0, ge=0, le=256, description="Packet processes; 0: as many as CPUs")
    gateway_base_url: BaseUrl = Field(
        "",
        description="How devices reach the gateway, such as coap://gateway.example.com; "
        "where not set, made from the bind address",
    )
    gateway_max_body_bytes: int = Field(
        65536, ge=1, le=16 << 20, description="Largest request body, block-wise transfer included, in bytes"
    )
    gateway_commit_interval_ms: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Wait this long between commits, in milliseconds; 0: commit whenever the writer is free",
    )
    gateway_commit_batch: int = Field(512, ge=1, le=65536, description="Most uplinks in one commit")
    gateway_spool_max_bytes: int = Field(
        1 << 30, ge=1 << 16, description="Most bytes waiting in the spools of all workers; 5.03 beyond"
    )
    gateway_dedup_entries: int = Field(
        250_000,
        ge=1024,
        description="Most message IDs that a worker remembers against duplicates; 247 s where no more than half of it "
        "come in that time, less beyond",
    )
    gateway_bridge_rate: int = Field(
        500,
        ge=1,
        description="Most messages a second and worker outside the express lane (block-wise, discovery, …); "
        "5.03 beyond",
    )
    gateway_integration_rate_limit: RateLimits = Field(
        "",
        description="Uplinks per integration and worker as COUNT:SECONDS,…, such as 1000:1; 4.29 beyond; empty: none",
    )
    gateway_device_rate_limit: RateLimits = Field(
        "",
        description="Uplinks per device and worker as COUNT:SECONDS,…, such as 10:1,300:60; 4.29 beyond; empty: none",
    )
    gateway_history_days: int = Field(30, ge=0, description="How long telemetry history is kept, in days; 0: none")
    gateway_history_rows: int = Field(
        10_000_000, ge=0, description="Most rows of telemetry history; the oldest go first"
    )
    gateway_quarantine_rows: int = Field(
        10_000,
        ge=0,
        description="Most uplinks kept that their converter failed on; the oldest go first; 0: none are kept",
    )
    gateway_quarantine_bytes: int = Field(
        64 << 20, ge=1 << 16, description="Most bytes of such uplinks; the oldest go first"
    )
    gateway_events_rows: int = Field(
        10_000, ge=1, le=1_000_000, description="Most debug events kept of an integration; the oldest go first"
    )
    gateway_events_days: int = Field(7, ge=1, description="How long debug events are kept, in days")
    gateway_javascript_time_limit_ms: int = Field(
        100, ge=1, le=10_000, description="CPU time of one JavaScript conversion, in milliseconds"
    )
    gateway_javascript_memory_limit_bytes: int = Field(
        16 << 20, ge=1 << 20, le=1 << 30, description="Memory of one JavaScript converter, in bytes"
    )
    gateway_python_time_budget_ms: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Time that a Python conversion may take, in milliseconds; longer ones are logged and counted",
    )
    gateway_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    gateway_log_format: LogFormat = Field(LogFormat.TEXT, description="text or json")
