"""The coverage-guided fuzzer behind scripts/fuzz-dtls.

An input is a script: a byte for the form of the handshake, its stage and the role under attack, and then datagrams,
each as it is, or a real one that something happened to. The first thing that is raised ends the run.
"""

import sys

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["gateway.dtls"]):
    from gateway.dtls.endpoint import Endpoint

    from .fuzzing import FORMS, STAGES, Victim, mutated

MOST_DATAGRAMS = 8


def attack(data: bytes) -> None:
    """Play a script."""
    script = atheris.FuzzedDataProvider(data)
    victim = Victim(script.ConsumeIntInRange(0, FORMS - 1), script.ConsumeIntInRange(0, STAGES - 1))
    server = script.ConsumeBool()
    for _ in range(script.ConsumeIntInRange(1, MOST_DATAGRAMS)):
        datagram = _datagram(script, victim.real)
        victim.attack(datagram, server=server, stranger=script.ConsumeBool())
        if script.ConsumeBool():
            victim.now_s += 1.0
            _let_time_pass(victim.client, victim.now_s)
            _let_time_pass(victim.server, victim.now_s)
    victim.go_on()


def _let_time_pass(endpoint: Endpoint, now_s: float) -> None:
    endpoint.handle_timeout(now_s)


def _datagram(script: "atheris.FuzzedDataProvider", real: list[bytes]) -> bytes:
    if not real or script.ConsumeBool():
        return bytes(script.ConsumeBytes(script.ConsumeIntInRange(0, 200)))
    datagram: bytes = real[script.ConsumeIntInRange(0, len(real) - 1)]
    for _ in range(script.ConsumeIntInRange(0, 3)):
        other = real[script.ConsumeIntInRange(0, len(real) - 1)]
        operation, at = script.ConsumeIntInRange(0, 7), script.ConsumeIntInRange(0, 400)
        datagram = mutated(datagram, operation, at, script.ConsumeInt(8) & (1 << 64) - 1, other)
    return datagram


if __name__ == "__main__":
    atheris.Setup(sys.argv, attack)
    atheris.Fuzz()
