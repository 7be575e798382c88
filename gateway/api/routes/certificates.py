"""Certificates: the server's own, those that clients are trusted by, and devices' own, issued and revoked."""

from typing import Annotated, Final, Literal

from cryptography import x509
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, SecretStr

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import BackendOfApp
from gateway.api.downloads import attachment
from gateway.api.json_values import sound
from gateway.api.paging import LIMIT_MAX, Limit, Offset, Page, page_of
from gateway.api.problems import about
from gateway.credentials.choices import DAYS_MAX, LEAF_DAYS, KeyType, Purpose
from gateway.credentials.issuing import COMMON_NAME_CHARACTERS_MAX
from gateway.errors import ConfigurationError, NotFoundError, UsageError
from gateway.operations.certificates import (
    Container,
    authority_pem,
    client_container,
    issued_certificates,
    revoke_client,
    server_chain,
    trust_anchors,
    what_enforces,
)
from gateway.presentation.certificate import certificate_as_json, issued_as_json

NAMES_MAX: Final = 100
"""Most alternative names of a certificate."""

MEDIA_TYPES: Final = {Container.PEM: "application/x-pem-file", Container.PKCS12: "application/x-pkcs12"}
SUFFIXES: Final = {Container.PEM: "pem", Container.PKCS12: "p12"}

router = APIRouter(prefix="/certificates", tags=["credentials"])


class CertificateFields(BaseModel):
    """A certificate."""

    subject: str
    issuer: str
    serial: str = Field(description="In hex")
    valid_from: str
    valid_until: str
    days_left: int = Field(description="Negative where it has expired")
    state: str = Field(description="valid, EXPIRED or NOT YET VALID")
    key: str | None = Field(description="Kind and size of its key, such as EC secp256r1")
    names: list[str] = Field(description="Alternative names")
    ca: bool
    path_length: int | None
    key_usage: list[str]
    extended_key_usage: list[str]
    fingerprint_sha256: str


class ServerCertificate(BaseModel):
    """What the DTLS listener shows its clients."""

    source: str = Field(description="The file, and in a keystore the alias")
    chain: list[CertificateFields] = Field(description="The server's own, and the CAs above it")


class AnchorFields(CertificateFields):
    """A certificate that clients are trusted by."""

    source: str = Field(description="COAP_DTLS_TRUST_STORE, or the name under which it was added")


class Certificates(BaseModel):
    """The certificates that matter for who may come in."""

    server: ServerCertificate | None = Field(description="Null where the DTLS listener is off, or its files are wrong")
    trust_anchors: list[AnchorFields]
    findings: list[str] = Field(description="What is wrong with files, or about to be")


class NewClientCertificate(BaseModel):
    """A device's certificate to be issued by the authority in `certs`."""

    name: str = Field(max_length=COMMON_NAME_CHARACTERS_MAX, description="The device's name, which becomes the CN")
    alternative_names: list[str] = Field(
        [], max_length=NAMES_MAX, description="Host names, IP addresses, URIs or e-mail addresses"
    )
    days: int = Field(LEAF_DAYS, ge=1, le=DAYS_MAX, description="Validity, in days from now")
    key_type: KeyType = KeyType.P256
    format: Container = Container.PEM
    password: SecretStr = Field(
        SecretStr(""), max_length=255, description="Of the key; a PKCS#12 file needs one, in PEM it may be empty"
    )


class IssuedFields(BaseModel):
    """A device's certificate, as it is on record in `certs`."""

    serial: str = Field(description="In hex")
    purpose: Literal["client"]
    name: str = Field(description="Its CN")
    names: list[str] = Field(description="Alternative names")
    valid_from: str
    valid_until: str
    days_left: int = Field(description="Negative where it has expired")
    state: str = Field(description="valid, EXPIRED, NOT YET VALID, revoked or of another authority")
    issued_ts: int = Field(description="In milliseconds since 1970")
    revoked_ts: int | None = Field(description="Since when it is revoked, in milliseconds since 1970")
    fingerprint_sha256: str
    authority_sha256: str = Field(description="Who issued it: SHA-256 of that authority's SubjectPublicKeyInfo")


class IssuedPage(Page[IssuedFields]):
    """A part of the devices' certificates that were issued."""

    findings: list[str] = Field(description="What is wrong with the record, or keeps revocations from being in force")


class RevokedFields(IssuedFields):
    """A device's certificate that is revoked now."""

    already: bool = Field(description="Whether it was revoked before")
    in_force: bool = Field(description="Whether the gateway goes by the list that it is on: `COAP_DTLS_CRL`")
    hint: str = Field(description="What has to be done for that; empty where nothing has")


@router.get("")
def list_certificates(user: Viewer, backend: BackendOfApp) -> Certificates:
    """The server's certificate with its chain, and those that clients are trusted by, with their validity."""
    settings = backend.settings
    findings: list[str] = []
    server = None
    if settings.dtls_listener:
        try:
            found = server_chain(settings)
            server = ServerCertificate(source=found.source, chain=[_fields(one) for one in found.chain])
            findings += found.findings
        except ConfigurationError as error:
            findings.append(error.message)
    with backend.catalogue() as catalogue:
        trusted = catalogue.credentials.trusted()
    anchors = trust_anchors(settings, trusted)
    findings += anchors.findings
    if (count := len(anchors.certificates)) > LIMIT_MAX:
        findings.append(f"of {count} trust anchors, the first {LIMIT_MAX} are listed; gateway trust list has all")
    return Certificates(
        server=server,
        trust_anchors=[
            AnchorFields(source=one.source, **_fields(one.certificate).model_dump())
            for one in anchors.certificates[:LIMIT_MAX]
        ],
        findings=findings,
    )


@router.get(
    "/authority",
    response_class=Response,
    responses={
        200: {
            "description": "The certificate in PEM",
            "content": {MEDIA_TYPES[Container.PEM]: {"schema": {"type": "string"}}},
        }
    },
)
def show_authority(user: Viewer) -> Response:
    """The certificate of the authority in `certs`, which devices check the server's with."""
    return Response(authority_pem(), media_type=MEDIA_TYPES[Container.PEM], headers=attachment("ca.pem"))


@router.post(
    "/clients",
    status_code=201,
    response_class=Response,
    responses={
        201: {
            "description": "The key with its certificate and the CAs above it; the key is kept nowhere else",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()},
        }
    },
)
def issue_client_certificate(user: Admin, new: NewClientCertificate, backend: BackendOfApp) -> Response:
    """Issue a device's certificate. Its key is in this answer and nowhere else; that it was issued is on record.

    The PEM file has the key, then the certificate, for `gateway send --cert`, or `coap-client-openssl -c` and `-j`.
    """
    password = new.password.get_secret_value()
    if new.format is Container.PKCS12 and not password:
        raise UsageError("a PKCS#12 file needs a password", field="password")
    with about("alternative_names"):
        content = client_container(
            backend.settings,
            new.name,
            new.alternative_names,
            days=new.days,
            key_type=new.key_type,
            container=new.format,
            password=password,
        )
    headers = attachment(f"client-{new.name}.{SUFFIXES[new.format]}")
    return Response(content, 201, media_type=MEDIA_TYPES[new.format], headers=headers)


@router.get("/clients")
def list_client_certificates(
    user: Viewer,
    backend: BackendOfApp,
    search: Annotated[
        str, Query(max_length=255, description="Part of a name, of the serial number or of the fingerprint")
    ] = "",
    limit: Limit = 100,
    offset: Offset = 0,
) -> IssuedPage:
    """The devices' certificates that are on record in `certs`, the newest first; none where it has no authority."""
    try:
        issued = issued_certificates(search=search, purpose=Purpose.CLIENT)
    except NotFoundError as error:
        return IssuedPage(items=[], total=0, next=None, findings=[f"{error.message}: {error.hint}"])
    found = issued.certificates
    items = [IssuedFields.model_validate(issued_as_json(*one)) for one in found[offset : offset + limit]]
    page = page_of(items, offset=offset, total=len(found))
    unenforced = what_enforces(backend.settings) if any(one.revoked_ms is not None for one in found) else ""
    findings = [*issued.findings, *([f"what is revoked is not in force: {unenforced}"] if unenforced else ())]
    return IssuedPage(items=page.items, total=page.total, next=page.next, findings=findings)


@router.post("/clients/{serial}/revoke")
def revoke_client_certificate(user: Admin, serial: str, backend: BackendOfApp) -> RevokedFields:
    """Revoke a device's certificate by its serial number. Its sessions end, and it can't begin another one."""
    revoked = revoke_client(backend.settings, serial)
    is_so = {"already": revoked.already, "in_force": not revoked.hint, "hint": revoked.hint}
    return RevokedFields.model_validate(issued_as_json(*revoked.certificate) | is_so)


def _fields(certificate: x509.Certificate) -> CertificateFields:
    return CertificateFields.model_validate(sound(certificate_as_json(certificate)))
