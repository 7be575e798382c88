"""Every figure that the gateway counts: name, meaning and labels, in one place.

Names end in their unit or in `_total`. Labels come from small fixed sets or from the catalogue, never from packets.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

UPLINKS_TOTAL = "gateway_uplinks_total"
"""Uplinks answered, by `integration` and response `code`."""

DATAGRAMS_DROPPED_TOTAL = "gateway_datagrams_dropped_total"
"""Datagrams dropped without an answer, by `reason`."""

DUPLICATES_TOTAL = "gateway_duplicates_total"
"""Messages recognised as duplicates (RFC 7252 §4.5)."""

DEDUP_EVICTED_TOTAL = "gateway_dedup_evicted_total"
"""Message IDs forgotten before their 247 s were over, because the table was full."""

BRIDGE_REFUSED_TOTAL = "gateway_bridge_refused_total"
"""Messages answered 5.03 because the slow lane was over its rate."""

SEPARATE_RESPONSES_TOTAL = "gateway_separate_responses_total"
"""Responses that missed the piggyback time-out, by `result`: acknowledged, reset, lost, or unconfirmed (sent once,
because too many others wait to be confirmed)."""

DTLS_SESSIONS = "gateway_dtls_sessions"
"""DTLS sessions that are established now."""

DTLS_HANDSHAKES_UNDER_WAY = "gateway_dtls_handshakes_under_way"
"""DTLS handshakes that have proved their address and are not complete."""

DTLS_HANDSHAKES_TOTAL = "gateway_dtls_handshakes_total"
"""DTLS handshakes completed, by `principal` (psk, x509, rpk, none) and `kind` (full, resumed)."""

DTLS_HANDSHAKE_FAILURES_TOTAL = "gateway_dtls_handshake_failures_total"
"""DTLS handshakes that failed, by `alert`; `none` where the peer fell silent."""

DTLS_LOCKOUTS_TOTAL = "gateway_dtls_lockouts_total"
"""Times that a host's handshakes were ignored for a while, because too many had failed."""

DTLS_SESSIONS_ENDED_TOTAL = "gateway_dtls_sessions_ended_total"
"""DTLS sessions that ended, by `reason`."""

DTLS_SESSIONS_RESTORED_TOTAL = "gateway_dtls_sessions_restored_total"
"""DTLS sessions that were taken over from before a restart."""

DTLS_ADDRESS_CHANGES_TOTAL = "gateway_dtls_address_changes_total"
"""Times that the peer of a session with a connection ID was heard from a new address (RFC 9146 §6)."""

DTLS_DROPPED_TOTAL = "gateway_dtls_dropped_total"
"""DTLS records and datagrams dropped without a word, by `reason`."""

DTLS_RELAYED_TOTAL = "gateway_dtls_relayed_total"
"""Datagrams handed to the worker whose session they are for, by `result`: handed over, or lost for lack of room."""

FORBIDDEN_TOTAL = "gateway_forbidden_total"
"""Uplinks refused because of who their session belongs to, by `integration`."""

SPOOL_COMMITS_TOTAL = "gateway_spool_commits_total"
"""Commits of a spool, by `result`: ok, failed."""

SPOOL_BYTES = "gateway_spool_bytes"
"""Bytes of uplinks waiting in a spool."""

CONVERSION_ERRORS_TOTAL = "gateway_conversion_errors_total"
"""Uplinks that their converter failed on, by `integration`."""

QUARANTINED_TOTAL = "gateway_quarantined_total"
"""Uplinks that their converter failed on, by `integration` and `result`: kept; no room, because they were over their
share of the spool; not stored, because the commit failed."""

QUARANTINE_DROPPED_TOTAL = "gateway_quarantine_dropped_total"
"""Uplinks that left the quarantine, or never entered it, because of its bounds."""

EVENTS_DROPPED_TOTAL = "gateway_events_dropped_total"
"""Debug events that were lost because too many came at once, by `where`: worker, supervisor."""

CONVERTER_BLOCKS_TOTAL = "gateway_converter_blocks_total"
"""Times that a converter was blocked for a while or taken up again, by `converter` and `change`: blocked, unblocked."""

CONVERTER_OVER_BUDGET_TOTAL = "gateway_converter_over_budget_total"
"""Calls of a converter in Python that took longer than GATEWAY_PYTHON_TIME_BUDGET_MS, by `converter`."""

WORKER_RESTARTS_TOTAL = "gateway_worker_restarts_total"
"""Workers that ended unasked and were started again."""

DELIVERED_REPORTS_TOTAL = "gateway_delivered_reports_total"
"""Reports that a sink took, by `sink`."""

SINK_MESSAGES_TOTAL = "gateway_sink_messages_total"
"""Messages that a sink sent, by `sink` and `kind`, such as telemetry, attributes, connect."""

SINK_INCOMING_TOTAL = "gateway_sink_incoming_total"
"""Messages that a sink's receiver sent to us, by `sink` and what became of them: attributes and rpc were kept; not
kept, because they could not be stored; ignored, because they are not as they should be; dropped, because they are too
large or too many."""

SINK_ERRORS_TOTAL = "gateway_sink_errors_total"
"""Times that a sink could not deliver, by `sink` and `trouble`: unreachable, refused, untrusted, silent, busy,
misconfigured."""

SINK_CONNECTED = "gateway_sink_connected"
"""Whether a sink has a connection, by `sink`."""

SINK_REFUSED_REPORTS_TOTAL = "gateway_sink_refused_reports_total"
"""Reports that a receiver would not take, by `sink`; they are in the quarantine."""

SINK_NOT_CARRIED_TOTAL = "gateway_sink_not_carried_total"
"""What a sink's protocol has no place for, by `sink` and `what`: assets (whole reports), customers, groups."""

SINK_REPEATED_REPORTS_TOTAL = "gateway_sink_repeated_reports_total"
"""Reports that were sent again because it was not known whether they had arrived, by `sink`."""

Key: TypeAlias = tuple[str, *tuple[str, ...]]
"""A metric's name and its label values, in the order of the metric's documentation."""


class Metrics:
    """The counters of one process. Not thread-safe: one loop owns it."""

    __slots__ = ("counters",)

    def __init__(self) -> None:
        self.counters: Counter[Key] = Counter()

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Add `by` to a metric."""
        self.counters[(name, *labels)] += by

    def set(self, name: str, *labels: str, value: int) -> None:
        """Set a gauge."""
        self.counters[(name, *labels)] = value

    def snapshot(self) -> Mapping[Key, int]:
        """The figures as they stand."""
        return dict(self.counters)
