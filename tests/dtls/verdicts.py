"""What a trust policy says of a chain, for tests."""

from collections.abc import Sequence

import pytest

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust import TrustPolicy
from tests.dtls.certificates import NOW_S, Issued


def trusting(*anchors: Issued) -> TrustPolicy:
    """A policy with a trust store and nothing else."""
    return TrustPolicy([anchor.certificate for anchor in anchors])


def client_name(policy: TrustPolicy, chain: Sequence[bytes], now_s: float = NOW_S) -> str:
    """The name of a client that must be accepted."""
    return policy.client_principal(chain, now_s).name


def client_alert(policy: TrustPolicy, chain: Sequence[bytes], now_s: float = NOW_S) -> AlertDescription:
    """The alert for a client that must be refused."""
    with pytest.raises(AlertError) as caught:
        policy.client_principal(chain, now_s)
    return caught.value.description


def server_alert(policy: TrustPolicy, chain: Sequence[bytes], server_name: str | None) -> AlertDescription:
    """The alert for a server that must be refused."""
    with pytest.raises(AlertError) as caught:
        policy.server_principal(chain, NOW_S, server_name=server_name)
    return caught.value.description
