"""Commands that send ThingsBoard's tutorial payload to an endpoint, ready for the shell."""

import shlex
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from gateway.integrations.endpoints import endpoint_urls
from gateway.integrations.identity import NONE, needs_identity
from gateway.model import Integration, Security
from gateway.settings import Settings

SAMPLE_DEVICE: Final = "SN-001"
"""The device in ThingsBoard's tutorial payload."""

UNKNOWN_DEVICE: Final = "NAME-OF-THE-DEVICE"
"""What stands for a device that only an identity of the right name may write."""

UNKNOWN_IDENTITY: Final = "IDENTITY"


class SampleKey(NamedTuple):
    """A pre-shared key in the commands that are shown: the option of `gateway send` that takes it, and its value."""

    option: str = "--psk-key"
    value: str = "KEY"

    @property
    def is_text(self) -> bool:
        """Whether coap-client can be given it, which takes nothing else."""
        return self.option == "--psk-key"


TEXT_KEY: Final = SampleKey()


class SampleFiles(NamedTuple):
    """Files of a client certificate in the commands that are shown."""

    certificate: str = "client.pem"
    key: str = "client_key.pem"
    ca: str = "ca.pem"


CLIENT_FILES: Final = SampleFiles()


class SampleCommand(NamedTuple):
    """A command, and the way in that it takes."""

    url: str
    credential: Literal["none", "psk", "x509"]
    """What the device shows for itself."""
    tool: Literal["coap-client", "gateway"]
    command: str


def commands_of(
    integration: Integration,
    settings: Settings,
    *,
    program: str,
    device: str | None = None,
    identity: str | None = None,
) -> list[SampleCommand]:
    """Commands for each way into an integration. What is not known, such as a key, is named in capitals.

    Without `device` it is the tutorial's where any identity may write it. An endpoint that takes nobody without an
    identity has no commands over plain CoAP.
    """
    if device is None:
        device = SAMPLE_DEVICE if integration.identity_binding == NONE else UNKNOWN_DEVICE
    found: list[SampleCommand] = []
    for url in endpoint_urls(integration, settings):
        if is_dtls(url):
            by_key = by_psk(url, program=program, device=device, identity=identity or UNKNOWN_IDENTITY)
            found += _tagged(url, "psk", by_key)
            found += _tagged(url, "x509", by_certificate(url, program=program, device=device))
        elif not needs_identity(integration):
            found += _tagged(url, "none", by_nothing(url, program=program, device=device))
    return found


def is_dtls(url: str) -> bool:
    """Whether an endpoint's URL is one of the DTLS listener."""
    return url.startswith(f"{Security.DTLS}:")


def by_nothing(url: str, *, program: str, device: str = SAMPLE_DEVICE) -> list[str]:
    """Over plain CoAP: with libcoap's client, and with `program`, which is how the gateway's own command is called."""
    payload = sample_payload(device)
    return [
        f"coap-client-notls -m post -e {payload} {url}",
        f"{program} send {url} --text {payload}",
    ]


def by_psk(
    url: str,
    *,
    program: str,
    device: str = SAMPLE_DEVICE,
    identity: str = UNKNOWN_IDENTITY,
    key: SampleKey = TEXT_KEY,
) -> list[str]:
    """Over DTLS, with a pre-shared key. libcoap's client is left out where it can't be given such a key."""
    payload = sample_payload(device)
    who, secret = shlex.quote(identity), shlex.quote(key.value)
    coap_client = f"coap-client-openssl -m post -u {who} -k {secret} -e {payload} {url}"
    own = f"{program} send {url} --psk-identity {who} {key.option} {secret} --text {payload}"
    return [coap_client, own] if key.is_text else [own]


def by_certificate(
    url: str, *, program: str, device: str = SAMPLE_DEVICE, files: SampleFiles = CLIENT_FILES
) -> list[str]:
    """Over DTLS, with a client certificate. The names of the files are for a shell as they are."""
    payload = sample_payload(device)
    certificate, key, ca = files
    return [
        f"coap-client-openssl -m post -c {certificate} -j {key} -R {ca} -e {payload} {url}",
        f"{program} send {url} --cert {certificate} --key {key} --ca {ca} --text {payload}",
    ]


def sample_payload(device: str) -> str:
    """ThingsBoard's tutorial payload with the name of a device, quoted for a shell."""
    text = f"{device},default,temperature,25.7,humidity,69"
    quoted = shlex.quote(text)
    return f"'{text}'" if quoted == text else quoted


def _tagged(url: str, credential: Literal["none", "psk", "x509"], commands: list[str]) -> Iterator[SampleCommand]:
    for command in commands:
        yield SampleCommand(url, credential, "coap-client" if command.startswith("coap-client") else "gateway", command)
