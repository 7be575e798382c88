"""Whatever comes in: nothing is raised, what is kept stays bounded, and the peer itself still gets in."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived

from .fuzzing import BEGUN, FORMS, STAGES, Victim, assert_bounded, is_client_hello, mutated
from .pair import CLIENT, SERVER, WALL_S, events_of
from .peers import client_config, server_config

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
"""For each of some fifty tests; more when someone has the time."""

fuzzing = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, max_examples=EXAMPLES)
ROOT = Path(__file__).parents[2]
"""Of the repository."""


@st.composite
def attacks(draw: st.DrawFn, victim: Victim) -> bytes:
    """Arbitrary bytes, or a real datagram that was changed up to three times."""
    if not victim.real or draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=200))
    real = st.sampled_from(victim.real)
    data = draw(real)
    for _ in range(draw(st.integers(0, 3))):
        other = draw(st.one_of(real, st.binary(max_size=20)))
        data = mutated(data, draw(st.integers(0, 7)), draw(st.integers(0, 400)), draw(st.integers(0, 1 << 64)), other)
    return data


def attacked(data: st.DataObject, form: int, stage: int, *, server: bool) -> Victim:
    """A victim that some datagrams were thrown at while time passed."""
    victim = Victim(form, stage)
    for _ in range(data.draw(st.integers(1, 8), label="attacks")):
        attack = data.draw(attacks(victim), label="datagram")
        victim.attack(attack, server=server, stranger=data.draw(st.booleans(), label="from a stranger"))
        if data.draw(st.integers(0, 5), label="time passes") == 0:
            victim.now_s += data.draw(st.sampled_from([0.01, 1.0, 5.0]))
            for endpoint in (victim.client, victim.server):
                endpoint.handle_timeout(victim.now_s)
                assert_bounded(endpoint)
    return victim


@pytest.mark.parametrize("stage", range(STAGES))
@pytest.mark.parametrize("form", range(FORMS), ids=["PSK", "ECDHE_PSK", "X.509"])
@fuzzing
@given(st.data())
def test_a_server_under_attack_lets_its_client_in(form: int, stage: int, data: st.DataObject) -> None:
    victim = attacked(data, form, stage, server=True)
    at_once = victim.now_s == 0.0
    victim.go_on()
    completed = bool(victim.client.associations() and victim.server.associations())
    event("at once" if completed else "at the second try")
    # Before the server has begun, a changed hello may begin in place of the client's; and what fails again and again
    # over a time is taken to be the client's own.
    assert completed or stage < BEGUN or not at_once
    if not completed:
        victim.now_s += 1.0
        victim.connect()
        victim.run()
    _check_that_it_works(victim, server=True)


@pytest.mark.parametrize("stage", range(STAGES))
@pytest.mark.parametrize("form", range(FORMS), ids=["PSK", "ECDHE_PSK", "X.509"])
@fuzzing
@given(st.data())
def test_a_client_under_attack_keeps_its_bounds_and_gets_in_next_time(
    form: int, stage: int, data: st.DataObject
) -> None:
    victim = attacked(data, form, stage, server=False)
    victim.go_on()
    if not victim.client.associations() or not victim.server.associations():
        victim.now_s += 1.0
        victim.connect()
        victim.run()
    _check_that_it_works(victim, server=False)


def _check_that_it_works(victim: Victim, *, server: bool) -> None:
    """That data gets through both ways; first to the victim.

    A stranger who was quicker with a record that was under way has moved the victim's idea of where its peer is
    (RFC 9146 §6); the peer's own next record brings it back.
    """
    (association,) = victim.client.associations()
    assert association.writer.protection is not None
    key = association.writer.protection.key
    (session,) = (one for one in victim.server.associations() if one.read.key == key)
    to_server = (victim.client, association, victim.server_events)
    to_client = (victim.server, session, victim.client_events)
    for endpoint, one, received in (to_server, to_client) if server else (to_client, to_server):
        before = len(events_of(received, DataReceived))
        endpoint.send(one, b"after the attack")
        victim.run()
        assert [each.data for each in events_of(received, DataReceived)[before:]] == [b"after the attack"]
    assert (association.address, session.address) == (SERVER, CLIENT)


@fuzzing
@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_arbitrary_bytes_are_dropped_and_counted(datagrams: list[bytes], client: bool) -> None:
    endpoint = Endpoint(client_config() if client else server_config())
    for datagram in datagrams:
        endpoint.receive_datagram(datagram, b"anyone", 0.0, WALL_S)
    assert sum(endpoint.dropped.values()) >= len(datagrams)
    assert not endpoint.datagrams_to_send()
    assert endpoint.next_event() is None
    assert endpoint.next_timeout() is None


def test_hellos_of_many_strangers_leave_bounded_state() -> None:
    """Each with a cookie, so each begins a handshake; and no one goes on."""
    victim = Victim(0, 3)
    for number in range(200):
        stranger = Victim(0, 1)
        address = b"stranger %d" % number
        for _ in range(2):
            for data, destination in stranger.under_way or stranger.take():
                assert destination == SERVER
                victim.server.receive_datagram(data, address, victim.now_s, WALL_S)
            stranger.under_way = []
            for data, destination in victim.server.datagrams_to_send():
                if destination == address:
                    stranger.deliver(data, CLIENT)
        victim.now_s += 0.5
        victim.server.handle_timeout(victim.now_s)
        assert_bounded(victim.server)
    victim.now_s += 600.0
    victim.server.handle_timeout(victim.now_s)
    victim.run()
    assert not victim.server._attempts
    assert not victim.server._attempts.timers


def test_a_hello_alone_is_recognized() -> None:
    assert is_client_hello(Victim(0, 1).real[0])


def test_the_coverage_guided_fuzzer_finds_nothing_in_a_few_seconds() -> None:
    environment = {**os.environ, "FUZZ_SECONDS": "5"}
    command = [str(ROOT / "scripts" / "fuzz-dtls")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done " in done.stderr
