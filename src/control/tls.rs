//! TLS for both sides: certificates and keys from PEM files, TLS 1.2 and 1.3. Owns what is asked of the files: a key that others can read
//! or change is refused. Called by the server, at its start and by a reload, and by the client.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls;

/// What is wrong with a file that TLS or a token comes from.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}", path = path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and the way out.
    pub why: String,
}

/// A file that must be the owner's own affair: members of its group may at most read it, others nothing.
pub fn private(path: &Path) -> Result<(), FileError> {
    let wrong = |why: String| FileError { path: path.to_owned(), why };
    let mode = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.mode();
    match mode & 0o037 {
        0 => Ok(()),
        _ => Err(wrong(format!("its mode {:03o} lets others at it: chmod 600", mode & 0o777))),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let wrong = |why: String| FileError { path: path.to_owned(), why };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(all) if all.is_empty() => Err(wrong("there is no certificate in it: it must be PEM".into())),
        Ok(all) => Ok(all),
        Err(e) => Err(wrong(format!("no certificates in PEM: {e}"))),
    }
}

/// What a server says of itself: its certificate and those between it and its authority.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For TLS.
    pub config: Arc<ServerConfig>,
    /// The certificates.
    pub chain: Arc<[CertificateDer<'static>]>,
}

/// The server's side.
pub fn server(certificate: &Path, key: &Path) -> Result<Identity, FileError> {
    private(key)?;
    let wrong = |why: String| FileError { path: key.to_owned(), why };
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(format!("no private key in PEM: {e}")))?;
    let told = chain.clone().into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|b| b.with_no_client_auth())
        .and_then(|b| b.with_single_cert(chain, secret))
        .map_err(|e| wrong(format!("it does not go with {}: {e}", certificate.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { config: config.into(), chain: told })
}

/// The client's side: only what `ca` vouches for is believed.
pub fn client(ca: &Path) -> Result<Arc<ClientConfig>, FileError> {
    let wrong = |why: String| FileError { path: ca.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Why the recorder is not believed, and the way out where there is one.
pub fn explained(ca: &Path, e: std::io::Error) -> std::io::Error {
    let Some(Error::InvalidCertificate(why)) = e.get_ref().and_then(|e| e.downcast_ref()) else { return e };
    // As it says it: not all of these are types of rustls.
    let said = format!("{why:?}");
    let why = if said.contains("CaUsedAsEndEntity") {
        "is an authority's (CA:TRUE), and such a one is believed only for what it has signed: make the recorder's with `openssl \
         req -x509 ... -addext basicConstraints=critical,CA:FALSE`, or have this one sign it"
    } else if ["UnknownIssuer", "BadSignature", "UnsupportedSignature"].iter().any(|why| said.starts_with(why)) {
        "is not what this file vouches for"
    } else {
        return e;
    };
    std::io::Error::new(e.kind(), format!("{}: the recorder's certificate {why}", ca.display()))
}
