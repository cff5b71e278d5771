//! Certificates for TLS in both directions.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::folder::Folder;

/// The names under which a server of the tests is reached.
pub const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

/// Paths of PEM files: an authority, what it issued to the server and to a client, and a client certificate of an
/// authority that the server does not know.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that both sides trust.
    pub ca: String,
    /// The server's certificate.
    pub server_certificate: String,
    /// Its key.
    pub server_key: String,
    /// A client's certificate.
    pub client_certificate: String,
    /// Its key.
    pub client_key: String,
    /// The stranger's authority.
    pub stranger_ca: String,
    /// The stranger's certificate.
    pub stranger_certificate: String,
    /// Its key.
    pub stranger_key: String,
}

impl Certificates {
    /// Writes them into the folder, the server's for the given names.
    pub(crate) fn write(folder: &Folder, hosts: &[&str]) -> Self {
        let (authority, stranger) = (authority("ackord tests"), authority("somebody else"));
        let server = hosts.iter().map(|host| (*host).to_owned()).collect();
        let (server_certificate, server_key) =
            issue(folder, "server", &authority, server, ExtendedKeyUsagePurpose::ServerAuth);
        let (client_certificate, client_key) =
            issue(folder, "client", &authority, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth);
        let (stranger_certificate, stranger_key) =
            issue(folder, "stranger", &stranger, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth);
        Self {
            ca: folder.write("ca.pem", &authority.pem()),
            server_certificate,
            server_key,
            client_certificate,
            client_key,
            stranger_ca: folder.write("stranger-ca.pem", &stranger.pem()),
            stranger_certificate,
            stranger_key,
        }
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, key()).expect("an authority signs itself")
}

fn issue(
    folder: &Folder,
    name: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
    hosts: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let mut params = CertificateParams::new(hosts).expect("hosts of a certificate");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.insert_extended_key_usage(usage);
    params.use_authority_key_identifier_extension = true;
    let key = key();
    let certificate = params.signed_by(&key, authority).expect("the authority signs");
    (
        folder.write(&format!("{name}.pem"), &certificate.pem()),
        folder.write_secret(&format!("{name}-key.pem"), &key.serialize_pem()),
    )
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}
