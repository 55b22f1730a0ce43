//! A certificate for this machine, made here together with the authority that vouches for it.
//!
//! The keys are on P-256. Randomness and signatures come from the provider of cryptography that the listener uses, by
//! rustls' own interfaces; only the certificates' encoding is another crate's work.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;

use super::processor;
use super::server::TlsServerConfig;
use crate::error::TlsError;

/// A PKCS#8 key on P-256 up to the 32 octets of the secret number (RFC 5208, RFC 5915).
const PKCS8_P256: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01,
    0x01, 0x04, 0x20,
];

/// Octets of an uncompressed point on P-256, with which its SubjectPublicKeyInfo ends.
const POINT: usize = 65;

/// How often a random number is tried as a key: one in 2³² is out of range.
const ATTEMPTS: usize = 4;

/// What a listener shows, and what a client has to trust.
pub(crate) struct GeneratedTls {
    pub(crate) server: TlsServerConfig,
    /// The authority's certificate in PEM. Its key is gone: it never vouches for another.
    pub(crate) authority_pem: String,
}

/// Makes an authority, and a certificate of it for `localhost` and the loopback addresses.
pub(crate) fn generate() -> Result<GeneratedTls, TlsError> {
    let provider = processor::default_provider()?;
    let authority_key = Key::generate(&provider)?;
    let server_key = Key::generate(&provider)?;

    let mut authority = named("amqp10 emulator", &provider)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key).map_err(unusable)?;

    let mut server = named("localhost", &provider)?;
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into().map_err(unusable)?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Some clients insist on it.
    server.use_authority_key_identifier_extension = true;
    let issuer = Issuer::new(authority, &authority_key);
    let server_certificate = server.signed_by(&server_key, &issuer).map_err(unusable)?;

    let chain = vec![server_certificate.der().clone()];
    Ok(GeneratedTls {
        server: TlsServerConfig::from_der(provider, chain, server_key.der)?,
        authority_pem: pem(authority_certificate.der()),
    })
}

/// What both certificates have: a name, and a number and a key identifier that no other has.
fn named(name: &str, provider: &CryptoProvider) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    let mut number: [u8; 16] = random(provider)?;
    // Positive, and of the same length each time.
    number[0] = number[0] & 0x3f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&number));
    params.key_identifier_method = KeyIdMethod::PreSpecified(random::<20>(provider)?.to_vec());
    Ok(params)
}

/// A key that signs certificates.
struct Key {
    der: PrivateKeyDer<'static>,
    signing: Arc<dyn SigningKey>,
    point: Vec<u8>,
}

impl Key {
    fn generate(provider: &CryptoProvider) -> Result<Key, TlsError> {
        for _ in 0..ATTEMPTS {
            let secret: [u8; 32] = random(provider)?;
            let pkcs8 = [&PKCS8_P256[..], &secret].concat();
            let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8));
            let Ok(signing) = provider.key_provider.load_private_key(der.clone_key()) else {
                continue;
            };
            if let Some(public) = signing.public_key()
                && let Some(start) = public.len().checked_sub(POINT)
            {
                let point = public[start..].to_vec();
                return Ok(Key {
                    der,
                    signing,
                    point,
                });
            }
        }
        Err(unusable(
            "the provider of cryptography takes no key on P-256",
        ))
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signing
            .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
            .and_then(|signer| signer.sign(message).ok())
            .ok_or(rcgen::Error::RemoteKeyError)
    }
}

fn random<const N: usize>(provider: &CryptoProvider) -> Result<[u8; N], TlsError> {
    let mut octets = [0; N];
    match provider.secure_random.fill(&mut octets) {
        Ok(()) => Ok(octets),
        Err(_) => Err(unusable("the system gives no random numbers")),
    }
}

fn unusable(reason: impl ToString) -> TlsError {
    TlsError::Configuration {
        reason: reason.to_string(),
    }
}

/// A certificate as text (RFC 7468).
fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, following) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = following;
    }
    text + "-----END CERTIFICATE-----\n"
}
