"""What a DTLS server presents: `gateway certs verify coaps://…`.

The handshake goes on whatever is presented, so that all of it comes to light; nothing is sent over the session but its
end, and no certificate of ours.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.cli.dtls_way import trust_of
from gateway.cli.findings import Finding, Mark
from gateway.cli.output import print_fields, print_line, time_text
from gateway.cli.send import COAPS_PORT, check_url
from gateway.credentials.explanations import Failure, Speaker, Stake, explain
from gateway.credentials.issuing import alternative_names
from gateway.dtls.alerts import AlertError
from gateway.dtls.config import Config
from gateway.dtls.trust import TrustPolicy
from gateway.dtls.trust_certificates import CertificateFacts, decode
from gateway.dtls.trust_names import check_server_name
from gateway.dtls.witness import RecordingTrust, Stage, Witness
from gateway.errors import UsageError
from gateway.listeners.dtls_client import DtlsClient, HandshakeError

SOON_DAYS = 30
"""A certificate that expires within so many days is worth a warning."""

DAY_S = 86_400


def verify_server(url: str, *, ca: Path | None, timeout_s: float) -> int:
    """Connect to `coaps://HOST[:PORT]`, and print what the server presents, and with `ca` whether that holds.

    Returns 0 where nothing is wrong with it, 1 else. Raises UsageError for another URL and for a `ca` that can't be
    used, UnavailableError where the host's name can't be resolved.
    """
    parts = check_url(url)
    if parts.scheme != "coaps":
        raise UsageError(f"{url!r} is no coaps:// URL", hint="write it like coaps://127.0.0.1 or coaps://HOST:PORT")
    host, port = unquote(parts.hostname or ""), parts.port or COAPS_PORT
    policy = None if ca is None else trust_of(ca)[0]
    failed = False
    for finding in asyncio.run(_findings(host, port, policy, timeout_s)):
        print_line(f"{finding.mark} {finding.text}")
        for line in finding.cure.splitlines():
            print_line(f"    {line}")
        failed = failed or finding.mark is Mark.FAILED
    return int(failed)


async def _findings(host: str, port: int, policy: TrustPolicy | None, timeout_s: float) -> list[Finding]:
    """Print the chain, and give what there is to say of it."""
    # No server name: each name is looked at below, and a server does not need it.
    config = Config(trust=RecordingTrust(None), connection_id_bytes=0)
    failure: HandshakeError | None = None
    try:
        client = await DtlsClient.connect(host, port, config, timeout_s=timeout_s)
    except HandshakeError as error:
        failure, chain, witness = error, error.chain, error.witness
    else:
        chain, witness = client.presented, client.witness
        await client.close()
    findings = [*_of_handshake(failure, witness)]
    if chain:
        findings += _of_chain(chain, host, policy)
    return findings


def _of_handshake(failure: HandshakeError | None, witness: Witness) -> Iterator[Finding]:
    suite = f": {witness.suite.name}" if witness.suite else ""
    if failure is None:
        yield Finding(Mark.OK, f"handshake{suite}")
        yield Finding(
            Mark.OK, f"client certificate: {'asked for' if witness.asks_for_certificate else 'not asked for'}"
        )
        return
    at_fault = failure.failure
    if at_fault.stake is Stake.MISSING_CERTIFICATE and at_fault.speaker is Speaker.SERVER:
        yield Finding(Mark.OK, f"handshake, up to the client certificate{suite}")
        yield Finding(Mark.WARNING, "client certificate: the server insists on one", "devices need one that it trusts")
        return
    message, *likely = failure.message.splitlines()
    yield Finding(Mark.FAILED, message, "\n".join([*likely, failure.hint]))


def _of_chain(chain: tuple[bytes, ...], host: str, policy: TrustPolicy | None) -> Iterator[Finding]:
    now_s = time.time()
    certificates: list[CertificateFacts] = []
    for number, der in enumerate(chain, start=1):
        print_line(f"certificate {number} of {len(chain)}")
        try:
            facts = decode(der)
        except AlertError as error:
            yield Finding(Mark.FAILED, f"certificate {number}: {error.reason}")
            return
        print_fields({f"  {name}": value for name, value in _fields(facts, now_s).items()})
        certificates.append(facts)
    for number, facts in enumerate(certificates, start=1):
        yield _of_dates(facts, number, now_s)
    # Without CAs to check it against nobody looks at its names either.
    yield _of_names(certificates[0], host, Mark.WARNING if policy is None else Mark.FAILED)
    if policy is not None:
        yield _of_trust(chain, policy, now_s)


def _fields(facts: CertificateFacts, now_s: float) -> dict[str, str]:
    certificate = facts.certificate
    begin, end = (time_text(int(moment_s * 1000)) for moment_s in (facts.not_before_s, facts.not_after_s))
    return {
        "subject": facts.subject.rfc4514_string(),
        "issuer": "itself" if facts.subject == facts.issuer else facts.issuer.rfc4514_string(),
        "names": ", ".join(alternative_names(certificate)) or "none beside the CN",
        "valid": f"{begin} to {end} ({_days_left(facts, now_s)})",
        "key": _key_text(facts),
        "SHA-256": facts.fingerprint,
    }


def _days_left(facts: CertificateFacts, now_s: float) -> str:
    days = int(facts.not_after_s - now_s) // DAY_S
    return f"{days} days left" if days >= 0 else "expired"


def _key_text(facts: CertificateFacts) -> str:
    match facts.key:
        case ec.EllipticCurvePublicKey():
            return f"EC {facts.key.curve.name}"
        case rsa.RSAPublicKey():
            return f"RSA {facts.key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case _:
            return "of a kind, curve or size that is not taken"


def _of_dates(facts: CertificateFacts, number: int, now_s: float) -> Finding:
    what = f"certificate {number}"
    if now_s > facts.not_after_s:
        return Finding(Mark.FAILED, f"{what}: has expired", "renew it: gateway certs server")
    if now_s < facts.not_before_s:
        return Finding(Mark.FAILED, f"{what}: is not valid yet", "is the clock of this machine right?")
    left = _days_left(facts, now_s)
    if facts.not_after_s - now_s < SOON_DAYS * DAY_S:
        return Finding(Mark.WARNING, f"{what}: valid, {left}", "renew it in time: gateway certs server")
    return Finding(Mark.OK, f"{what}: valid, {left}")


def _of_names(leaf: CertificateFacts, host: str, otherwise: Mark) -> Finding:
    try:
        check_server_name(leaf, host)
    except AlertError:
        names = ", ".join(alternative_names(leaf.certificate)) or leaf.subject.rfc4514_string()
        return Finding(
            otherwise,
            f"name: the certificate is not for {host}, but for {names}",
            "call it by one of these, or let devices expect one (gateway send: --server-name)",
        )
    return Finding(Mark.OK, f"name: the certificate is for {host}")


def _of_trust(chain: tuple[bytes, ...], policy: TrustPolicy, now_s: float) -> Finding:
    try:
        policy.server_principal(chain, now_s, server_name=None)
    except AlertError as refusal:
        failure = Failure(
            Speaker.CLIENT, refusal.description, refusal.reason, Stage.HELLO_DONE, Stake.SERVER_CERTIFICATE
        )
        cause, cure = explain(failure)
        return Finding(Mark.FAILED, f"trust: {refusal.reason}", f"likely cause: {cause}\n{cure}")
    return Finding(Mark.OK, "trust: the chain leads to a CA of the --ca file, or is in it")
