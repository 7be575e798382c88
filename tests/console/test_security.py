"""The pages of sessions, keys and certificates."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.api.conftest import Served
from tests.console.conftest import Visit
from tests.e2e.harness import eventually

KEY = "a key of some length"


@pytest.fixture
def session_of(served: Served) -> Iterator[Callable[[str], None]]:
    """Makes devices that stay in a session, by their identity."""
    made: list[subprocess.Popen[bytes]] = []

    def make(identity: str) -> None:
        served.command("psk", "add", identity, "--key", KEY)
        port = served.environment["COAP_DTLS_BIND_PORT"]
        command = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cipher", "PSK"]
        psk = ["-psk_identity", identity, "-psk", KEY.encode().hex()]
        made.append(subprocess.Popen([*command, *psk], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        eventually(lambda: served.json("session", "list", "--search", identity), "the session is there")

    yield make
    for process in made:
        process.kill()
        process.communicate()


def test_a_session_is_found_and_ended(visit: Visit, session_of: Callable[[str], None]) -> None:
    session_of("console-1")
    session_of("console-2")
    visit.open("/security")
    expect(visit.row("console-2")).to_be_visible()
    visit.page.get_by_label("Principal, address or fingerprint").fill("console-1")
    expect(visit.row("")).to_have_count(1)
    visit.row("console-1").get_by_role("button", name="console-1", exact=True).click()
    expect(visit.dialog).to_contain_text("PSK_WITH_AES_128")
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.dialog).to_be_hidden()
    for answer, left in (("Cancel", 1), ("End it", 0)):
        visit.row("console-1").get_by_role("button", name="End the session of").click()
        expect(visit.dialog).to_contain_text("End the session of console-1?")
        visit.dialog.get_by_role("button", name=answer).click()
        expect(visit.dialog).to_be_hidden()
        expect(visit.row("console-1")).to_have_count(left)
    assert visit.served.json("session", "list", "--search", "console-1") == []


def test_a_key_is_generated_shown_once_and_removed(visit: Visit) -> None:
    visit.open("/security?tab=psk")
    visit.button("Add an identity").click()
    visit.dialog.get_by_role("button", name="Add", exact=True).click()
    expect(visit.dialog.locator(".q-field", has_text="Identity")).to_contain_text("1 to 128 bytes")
    visit.dialog.get_by_label("Identity").fill("pump 7/<b>")
    visit.dialog.get_by_role("button", name="In hex").click()
    visit.dialog.get_by_label("Key in hex").fill("abc")
    visit.dialog.get_by_role("button", name="Add", exact=True).click()
    expect(visit.dialog.locator(".q-field", has_text="Key in hex")).to_contain_text("it is not hexadecimal")
    visit.dialog.get_by_role("button", name="Generate one").click()
    visit.dialog.get_by_role("button", name="Add", exact=True).click()
    expect(visit.page.get_by_text("It is shown only now.")).to_be_visible()
    expect(visit.dialog).to_have_count(1)
    visit.dialog.get_by_role("button", name="Copy the key", exact=True).click()
    key = visit.page.evaluate("navigator.clipboard.readText()")
    expect(visit.dialog.locator("code").first).to_have_text(key)
    visit.dialog.get_by_role("button", name="Done").click()
    url = visit.served.add_integration("pumps", "return {deviceName: 'pump'};", "--security-mode", "DTLS")
    visit.served.command("send", url, "--psk-identity", "pump 7/<b>", "--psk-key", key, "--text", "a")
    visit.row("pump 7/<b>").get_by_role("button", name="Remove").click()
    expect(visit.dialog).to_contain_text("Remove the key of pump 7/<b>?")
    visit.dialog.get_by_role("button", name="Remove").click()
    expect(visit.row("pump 7/<b>")).to_have_count(0)
    assert visit.complaints == []


def test_certificates_are_trusted_by_dropping_their_file(visit: Visit, tmp_path: Path) -> None:
    ca = next((visit.served.folder / "certs").glob("ca*.pem"))
    visit.open("/security?tab=trust")
    visit.button("Add").click()
    visit.dialog.locator("input[type=file]").set_input_files(
        {"name": "wrong.pem", "mimeType": "application/x-pem-file", "buffer": b"no certificate"}
    )
    expect(visit.dialog.get_by_label("or paste it here")).to_have_value("no certificate")
    visit.dialog.get_by_role("button", name="Trust it").click()
    expect(visit.dialog.locator(".q-textarea.q-field--error")).to_be_visible()
    visit.dialog.locator("input[type=file]").set_input_files(ca)
    expect(visit.dialog.get_by_label("or paste it here")).to_have_value(ca.read_text())
    visit.dialog.get_by_label("Name").fill("our CA")
    visit.dialog.get_by_role("button", name="Trust it").click()
    expect(visit.row("our CA")).to_contain_text("CA")
    visit.row("our CA").get_by_role("button", name="our CA", exact=True).click()
    expect(visit.dialog).to_contain_text("SHA-256")
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.dialog).to_be_hidden()
    visit.row("our CA").get_by_role("button", name="Remove").click()
    expect(visit.dialog).to_contain_text("Trust our CA no longer?")
    visit.dialog.get_by_role("button", name="Remove").click()
    expect(visit.page.get_by_text("Nothing was added")).to_be_visible()


def test_the_servers_certificate_is_shown_and_one_for_a_device_is_issued(visit: Visit, tmp_path: Path) -> None:
    visit.open("/security?tab=certificates")
    expect(visit.page.get_by_text("days left").first).to_be_visible()
    visit.button("Issue a client certificate").click()
    visit.dialog.get_by_label("Device's name").fill("valve-3")
    visit.dialog.get_by_label("File", exact=True).click()
    visit.page.get_by_role("option", name="PKCS#12").click()
    visit.dialog.get_by_role("button", name="Issue and download").click()
    expect(visit.dialog.locator(".q-input", has_text="Password")).to_contain_text("a PKCS#12 file needs a password")
    visit.dialog.get_by_label("Password").fill("secret of valve-3")
    with visit.page.expect_download() as download:
        visit.dialog.get_by_role("button", name="Issue and download").click()
    assert download.value.suggested_filename == "client-valve-3.p12"
    download.value.save_as(tmp_path / "valve.p12")
    told = subprocess.run(
        ["openssl", "pkcs12", "-in", tmp_path / "valve.p12", "-passin", "pass:secret of valve-3", "-nokeys"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CN = valve-3" in told.stdout or "CN=valve-3" in told.stdout
    with visit.page.expect_download() as download:
        visit.button("Download the CA").click()
    assert download.value.suggested_filename == "ca.pem"


def test_an_issued_certificate_is_found_again_and_revoked(visit: Visit, tmp_path: Path) -> None:
    api = visit.served.script()
    for name in ("lost-<b>1", "kept-1"):
        assert api.post("/api/v1/certificates/clients", json={"name": name}).status_code == 201
    visit.open("/security?tab=certificates")
    expect(visit.row("kept-1")).to_contain_text("days left")
    search = visit.page.get_by_label("Name, serial number or fingerprint")
    search.fill("nothing like it")
    expect(visit.page.get_by_text("No such certificate")).to_be_visible()
    search.fill("LOST-<B>1")
    expect(visit.row("")).to_have_count(1)
    visit.row("lost-<b>1").get_by_role("button", name="lost-<b>1", exact=True).click()
    (one,) = api.get("/api/v1/certificates/clients", params={"search": "lost-<b>1"}).json()["items"]
    for shown in (one["serial"], one["fingerprint_sha256"]):
        expect(visit.dialog).to_contain_text(shown)
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.dialog).to_be_hidden()
    for answer, state in (("Cancel", "days left"), ("Revoke", "revoked")):
        visit.row("lost-<b>1").get_by_role("button", name=f"Revoke {one['serial']}").click()
        expect(visit.dialog).to_contain_text("Revoke the certificate of lost-<b>1?")
        visit.dialog.get_by_role("button", name=answer, exact=True).click()
        expect(visit.dialog).to_be_hidden()
        expect(visit.row("lost-<b>1")).to_contain_text(state)
    expect(visit.page.get_by_text("that is not in force yet")).to_be_visible()
    expect(visit.page.get_by_text("set COAP_DTLS_CRL=certs/ca.crl").first).to_be_visible()
    assert visit.page.get_by_role("button", name=f"Revoke {one['serial']}").count() == 0
    listed = {entry["name"]: entry["state"] for entry in visit.served.json("certs", "list")}
    assert (listed["lost-<b>1"], listed["kept-1"]) == ("revoked", "valid")
    search.fill("valve-9")
    expect(visit.page.get_by_text("No such certificate")).to_be_visible()
    search.fill("")
    visit.button("Issue a client certificate").click()
    visit.dialog.get_by_label("Device's name").fill("valve-9")
    with visit.page.expect_download():
        visit.dialog.get_by_role("button", name="Issue and download").click()
    expect(visit.row("valve-9")).to_be_visible()
    assert visit.complaints == []


def test_a_record_that_can_not_be_read_leaves_the_rest_of_the_page(visit: Visit) -> None:
    crl = visit.served.folder / "certs" / "ca.crl"
    assert visit.served.script().post("/api/v1/certificates/clients", json={"name": "valve-7"}).status_code == 201
    before = crl.read_bytes() if crl.exists() else None
    crl.write_bytes(b"junk")
    try:
        visit.open("/security?tab=certificates")
        expect(visit.page.get_by_text("is no revocation list of the authority")).to_be_visible()
        expect(visit.page.get_by_text("The server's certificate")).to_be_visible()
    finally:
        crl.unlink()
        if before is not None:
            crl.write_bytes(before)


def test_a_viewer_looks_alone(
    served: Served, make_visit: Callable[[], Visit], session_of: Callable[[str], None]
) -> None:
    session_of("console-3")
    served.command("certs", "client", "viewed-1")
    visit = make_visit()
    visit.log_in("security-viewer", served.json("user", "add", "security-viewer", "--role", "viewer")["password"])
    for tab, shown in (("sessions", "console-3"), ("psk", "console-3")):
        visit.open(f"/security?tab={tab}")
        expect(visit.row(shown)).to_be_visible()
        for name in ("Add an identity", f"Remove {shown}"):
            assert visit.button(name).count() == 0
        assert visit.page.get_by_role("button", name="End the session").count() == 0
    visit.open("/security?tab=certificates")
    expect(visit.page.get_by_text("days left").first).to_be_visible()
    assert visit.button("Issue a client certificate").count() == 0
    expect(visit.row("viewed-1")).to_be_visible()
    assert visit.page.get_by_role("button", name="Revoke").count() == 0
