"""Making and reading certificates: a CA, and the leaf that the injectors serve by. When is certificate_policy.py's."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .certificate_policy import Certificate

# What reading a stranger's certificate may raise: anybody may have put anything into a Secret or a caBundle.
_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
BACKDATE_S = 300.0  # against clocks that differ; a tenth of the life at most, so that short ones stay whole


def make_ca(now: float, lifetime_s: float) -> tuple[bytes, bytes]:
    """Certificate and key (PEM) of a new CA. Each has a name of its own: two must be told apart in one bundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"carrier injector CA {serial:040x}")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(name, name, key.public_key(), serial, now, lifetime_s)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def make_leaf(
    ca_certificate: bytes, ca_key: bytes, names: Sequence[str], now: float, lifetime_s: float
) -> tuple[bytes, bytes]:
    """Certificate and key (PEM) for these DNS names and addresses; it ends with the CA at the latest. ValueError when
    the CA's pair is no good.
    """
    ca = x509.load_pem_x509_certificates(ca_certificate)[0]
    signer = serialization.load_pem_private_key(ca_key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != ca.public_key():
        raise ValueError("the CA's key does not belong to its certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    lifetime_s = min(lifetime_s, ca.not_valid_after_utc.timestamp() - now)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, ca.subject, key.public_key(), x509.random_serial_number(), now, lifetime_s)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def read_all(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a bundle, as far as they can be read: none of a bundle that can't."""
    try:
        found = x509.load_pem_x509_certificates(pem) if pem.strip() else []
    except _UNREADABLE:
        return []
    return [it for it in found if _is_readable(it)]


def _is_readable(certificate: x509.Certificate) -> bool:
    """Can all that is asked of a certificate here be answered?"""
    try:
        describe(certificate)
        certificate.public_key()
    except _UNREADABLE:
        return False
    return True


def flaw_of_ca(pem: bytes, key: bytes) -> str | None:
    """Why leaves can't be signed by this pair; None when they can."""
    flaw = flaw_of_pair(pem, key)
    if flaw is not None:
        return flaw
    ca = read_all(pem)[0]
    if not isinstance(ca.public_key(), ec.EllipticCurvePublicKey):
        return "its key is of another kind than ours"
    try:
        constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "it is no authority"
    return None if constraints.ca else "it is no authority"


def flaw_of_pair(pem: bytes, key: bytes) -> str | None:
    """Why nobody can serve by this certificate and key; None when one can."""
    if not pem.strip():
        return "there is none"
    found = read_all(pem)
    if not found:
        return "its certificate can't be read"
    return None if key_fits(found[0], key) else "its key is not that of its certificate"


def canonical(name: str) -> str:
    """A DNS name or address as `Certificate.names` has it. ValueError when it is neither."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        if not name.isascii():
            raise
    return name


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def describe(certificate: x509.Certificate, authorities: Iterable[x509.Certificate] = ()) -> Certificate:
    """A certificate as the policy takes it, with the authority among these that signed it."""
    signer = next((fingerprint(ca) for ca in authorities if _signed_by(certificate, ca)), None)
    return Certificate(
        fingerprint(certificate),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        signer=signer,
        names=_names(certificate),
    )


def pem_of(certificates: Iterable[x509.Certificate]) -> bytes:
    """A bundle."""
    return b"".join(it.public_bytes(serialization.Encoding.PEM) for it in certificates)


def key_fits(certificate: x509.Certificate, key: bytes) -> bool:
    """Is this the certificate's private key (PEM)?"""
    try:
        return serialization.load_pem_private_key(key, password=None).public_key() == certificate.public_key()
    except _UNREADABLE:
        return False


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(it) for it in found.get_values_for_type(x509.IPAddress))
    return frozenset((*found.get_values_for_type(x509.DNSName), *addresses))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, serial: int, now: float, lifetime_s: float
) -> x509.CertificateBuilder:
    begins = now - min(BACKDATE_S, lifetime_s / 10)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(datetime.datetime.fromtimestamp(begins, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(now + lifetime_s, datetime.UTC))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
