"""Which hosts may begin handshakes, and which must wait."""

from dataclasses import replace

import pytest

from gateway.dtls.admission import FAILURE_WINDOW_S, MOST_HOSTS, Admission
from gateway.dtls.config import Config, PskCredential
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import HandshakeFailed, HostLockedOut

from .pair import Pair, events_of
from .peers import CCM_8, PSK, PSK_CCM_8, client_config, server_config

TOO_MANY, LOCKED = "too many handshakes", "locked out"


def host_of(address: bytes) -> bytes:
    """Addresses are written as host:port."""
    return address.partition(b":")[0]


def admission(**limits: float) -> Admission:
    return Admission(replace(Config(host_of=host_of), **limits))  # type: ignore[arg-type]


def test_a_host_may_begin_so_many_in_a_second_and_no_more_whatever_its_ports() -> None:
    some = admission(handshakes_per_second=3)
    answers = [some.refusal(b"nat:%d" % port, 10.0) for port in range(5)]
    assert answers == ["", "", "", TOO_MANY, TOO_MANY]
    assert some.refusal(b"other:1", 10.9) == ""
    assert some.refusal(b"nat:9", 11.0) == ""


def test_a_host_is_locked_out_at_the_bound_of_failures_and_not_below() -> None:
    some = admission(lockout_failures=3, lockout_s=60)
    for _ in range(2):
        some.failed(b"nat:1", 10.0)
    assert some.refusal(b"nat:2", 10.0) == ""
    some.failed(b"nat:3", 11.0)
    assert some.refusal(b"nat:2", 11.0) == LOCKED
    assert some.refusal(b"other:2", 11.0) == ""
    assert some.refusal(b"nat:2", 70.9) == LOCKED
    assert some.refusal(b"nat:2", 71.0) == ""


def test_after_the_lock_it_takes_as_many_failures_again() -> None:
    some = admission(lockout_failures=2, lockout_s=5)
    for _ in range(2):
        some.failed(b"a:1", 10.0)
    assert some.refusal(b"a:1", 14.9) == LOCKED
    some.failed(b"a:1", 15.0)
    assert some.refusal(b"a:1", 15.0) == ""
    some.failed(b"a:1", 15.0)
    assert some.refusal(b"a:1", 15.0) == LOCKED


def test_failures_that_are_a_minute_apart_do_not_add_up() -> None:
    some = admission(lockout_failures=2)
    some.failed(b"a:1", 0.0)
    some.failed(b"a:1", FAILURE_WINDOW_S)
    assert some.refusal(b"a:1", FAILURE_WINDOW_S) == ""
    some.failed(b"a:1", FAILURE_WINDOW_S + 0.1)
    assert some.refusal(b"a:1", FAILURE_WINDOW_S + 0.1) == LOCKED


def test_without_a_bound_nobody_is_ever_locked_out() -> None:
    some = admission(lockout_failures=0, handshakes_per_second=10_000)
    for _ in range(1000):
        some.failed(b"a:1", 0.0)
    assert some.refusal(b"a:1", 0.0) == ""
    assert len(some._records) == 0


def test_failures_of_no_more_than_so_many_hosts_are_remembered() -> None:
    some = admission(lockout_failures=1)
    for number in range(MOST_HOSTS + 1):
        some.failed(b"host-%d:1" % number, 0.0)
    assert len(some._records) == MOST_HOSTS
    assert some.refusal(b"host-0:1", 0.0) == ""
    assert some.refusal(b"host-1:1", 0.0) == LOCKED


def test_other_limits_count_from_the_next_handshake_on() -> None:
    some = admission(handshakes_per_second=1)
    assert [some.refusal(b"a:1", 0.0), some.refusal(b"a:1", 0.0)] == ["", TOO_MANY]
    some.reconfigure(Config(host_of=host_of, handshakes_per_second=10))
    assert some.refusal(b"a:1", 0.0) == ""


@pytest.mark.parametrize(("failures", "locked"), [(1, False), (2, True)])
def test_wrong_keys_lock_a_host_out_of_an_endpoint_and_its_sessions_go_on(failures: int, locked: bool) -> None:
    server = server_config(lockout_failures=2, host_of=lambda address: b"one host")
    good = Pair(client_config(PSK_CCM_8), server).establish()
    for _ in range(failures):
        bad = Pair(client_config(PSK_CCM_8, client_psk=PskCredential(PSK.identity, b"wrong key wrong ")), server)
        bad.server = good.server
        bad.now_s = good.now_s
        bad.connect()
        bad.run(5.0)
        good.now_s = bad.now_s
    later = Pair(client_config(PSK_CCM_8), server)
    later.server, later.now_s = good.server, good.now_s
    later.connect()
    later.run(5.0)
    assert bool(later.client.associations()) is not locked
    assert (good.server.dropped[LOCKED] > 0) is locked
    assert good.server.associations()


def test_hellos_that_offer_nothing_in_common_lock_nobody_out() -> None:
    server = Endpoint(server_config(lockout_failures=1, host_of=lambda address: b"one host", suites=(PSK_CCM_8,)))
    for _ in range(3):
        pair = Pair(client_config(CCM_8), server_config())
        pair.server = server
        pair.connect()
        pair.run(1.0)
        assert events_of(pair.server_events, HandshakeFailed)
    good = Pair(client_config(PSK_CCM_8), server_config())
    good.server = server
    assert good.establish().completed


def test_the_owner_is_told_once_that_a_host_is_locked_out() -> None:
    server = Endpoint(server_config(lockout_failures=2, lockout_s=7.0, host_of=lambda address: b"one host"))
    told: list[HostLockedOut] = []
    for _ in range(3):
        pair = Pair(
            client_config(PSK_CCM_8, client_psk=PskCredential(PSK.identity, b"wrong key wrong ")), server_config()
        )
        pair.server = server
        pair.connect()
        pair.run(5.0)
        told += events_of(pair.server_events, HostLockedOut)
    assert [one.seconds for one in told] == [7.0]
