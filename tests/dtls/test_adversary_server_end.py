"""How servers that break the rules fare at the end of a handshake, and with sessions that they do not know."""

from typing import Any

import pytest

from gateway.dtls.client import Resumption
from gateway.dtls.codes import (
    AlertDescription,
    ExtensionType,
    HandshakeType,
)
from gateway.dtls.suites import BY_NAME, CipherSuite
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.wire import vector

from .adversary import A_LONG_TIME_S, ignored, refused_when_repeated
from .adversary_server import HostileServer, met
from .pair import Pair
from .peers import (
    CCM_8,
    PSK_CCM_8,
    certified_client,
    client_config,
    server_config,
)

ECDSA_GCM = BY_NAME["ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
EMS = ExtensionType.EXTENDED_MASTER_SECRET


# -- the end --------------------------------------------------------------------------------------------


def agreed(suite: CipherSuite = CCM_8, **changes: Any) -> HostileServer:
    return met(suite, **changes).present().agree()


def test_a_wrong_finished_is_a_decrypt_error() -> None:
    peer = agreed()
    peer.change_cipher_spec()
    peer.finish(bytes(12))
    refused_when_repeated(peer, AlertDescription.DECRYPT_ERROR)


def test_our_own_finished_is_not_taken_back() -> None:
    peer = agreed()
    peer.change_cipher_spec()
    peer.is_client = True
    peer.finish()
    refused_when_repeated(peer, AlertDescription.DECRYPT_ERROR)


def test_a_finished_without_change_cipher_spec_is_waited_upon() -> None:
    peer = agreed()
    peer.finish()
    ignored(peer)


def test_a_finished_in_the_clear_is_unexpected() -> None:
    peer = agreed()
    peer.finish(epoch=0)
    refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


def test_a_ticket_that_was_not_announced_is_unexpected() -> None:
    peer = agreed()
    peer.say(HandshakeType.NEW_SESSION_TICKET, bytes(4) + vector(2, b"ticket"))
    refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


def test_a_server_with_another_pre_shared_key_is_not_believed() -> None:
    peer = met(PSK_CCM_8).present().agree(psk=b"not the secret")
    peer.change_cipher_spec()
    peer.finish()
    peer.wait(A_LONG_TIME_S)
    assert not peer.established
    assert [failure.alert for failure in peer.failures] == [AlertDescription.DECRYPT_ERROR]


def test_application_data_before_finished_is_not_delivered() -> None:
    peer = agreed()
    peer.send_data(b"early", epoch=0)
    peer.change_cipher_spec()
    peer.send_data(b"early")
    peer.finish()
    assert peer.established
    assert peer.delivered == []


@pytest.mark.parametrize("description", [AlertDescription.HANDSHAKE_FAILURE, AlertDescription.CLOSE_NOTIFY, 255])
def test_an_alert_in_the_clear_ends_nothing(description: int) -> None:
    peer = met()
    peer.alert(description)
    peer.present()
    peer.alert(description)
    peer.agree()
    peer.change_cipher_spec()
    peer.alert(description)
    peer.finish()
    assert peer.established


# -- resumption -----------------------------------------------------------------------------------------


def resumption_of(suite: CipherSuite) -> Resumption:
    """What a client got in a full handshake with an honest server."""
    return Pair(client_config(suite), server_config(tickets=TicketKeys())).establish().resumption


def meet_again(resumption: Resumption, *suites: CipherSuite, **changes: Any) -> HostileServer:
    """A server that our client offers a session to."""
    peer = HostileServer(client_config(*(suites or (CCM_8,)), **changes)).meet(resumption=resumption)
    assert peer.hello.extensions[ExtensionType.SESSION_TICKET] == resumption.ticket
    return peer


def test_a_session_is_resumed_with_the_server_that_knows_it_alone() -> None:
    resumption = resumption_of(CCM_8)
    peer = meet_again(resumption)
    peer.greet(session_id=peer.hello.session_id)
    peer.derive(b"", master=resumption.session.master_secret)
    peer.change_cipher_spec()
    peer.finish()
    assert peer.established


def test_a_server_that_does_not_know_the_session_is_not_believed() -> None:
    peer = meet_again(resumption_of(CCM_8))
    peer.greet(session_id=peer.hello.session_id)
    peer.derive(b"", master=bytes(48))
    peer.change_cipher_spec()
    peer.finish()
    peer.repeat()
    peer.wait(A_LONG_TIME_S)
    assert not peer.established
    assert [failure.alert for failure in peer.failures] == [AlertDescription.DECRYPT_ERROR]


def test_a_server_that_does_not_take_the_session_makes_a_full_handshake() -> None:
    peer = meet_again(resumption_of(CCM_8))
    peer.present().agree()
    peer.change_cipher_spec()
    peer.finish()
    assert peer.established
    assert not peer.endpoint.associations()[0].resumed


def test_a_session_is_not_resumed_without_extended_master_secret() -> None:
    peer = meet_again(resumption_of(CCM_8), require_extended_master_secret=False)
    peer.greet({EMS: None}, session_id=peer.hello.session_id)
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


def test_a_session_is_not_resumed_with_another_suite() -> None:
    peer = meet_again(resumption_of(CCM_8), CCM_8, ECDSA_GCM)
    peer.greet(session_id=peer.hello.session_id, cipher_suite=ECDSA_GCM.number)
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


def test_a_client_with_a_certificate_signs_for_the_server_that_asked() -> None:
    peer = HostileServer(certified_client(CCM_8)).meet()
    peer.greet()
    peer.certify()
    peer.offer_key()
    peer.ask_for_certificate()
    peer.done()
    assert peer.latest(HandshakeType.CERTIFICATE_VERIFY) is not None
    peer.agree()
    peer.change_cipher_spec()
    peer.finish()
    assert peer.established


def test_a_client_without_a_certificate_that_will_do_sends_none() -> None:
    peer = HostileServer(certified_client(CCM_8)).meet()
    peer.greet()
    peer.certify()
    peer.offer_key()
    peer.ask_for_certificate(schemes=(0x0603,))
    peer.done()
    assert peer.body(HandshakeType.CERTIFICATE) == bytes(3)
    assert peer.latest(HandshakeType.CERTIFICATE_VERIFY) is None
