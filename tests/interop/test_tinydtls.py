"""The engine and tinydtls (through DTLSSocket): what small devices speak, with PSK alone."""

import pytest

from .credentials import PSK_IDENTITY, PSK_KEY
from .matrix import Case, Lab
from .tries import PSK, PSK_CCM_8, Expected, as_server, script

CLIENT = script("tinydtls_client", lambda lab, port: [port, PSK_IDENTITY, PSK_KEY.decode()])
SUITES = (PSK_CCM_8, "PSK_WITH_AES_128_CCM")
CASES = [as_server(Expected("tinydtls", suite, PSK), CLIENT, says=False) for suite in SUITES]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tinydtls_gets_on_with_the_engine(case: Case, lab: Lab) -> None:
    case.run(lab)
