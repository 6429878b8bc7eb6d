//! The server's certificate and key, read from their files.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

pub fn server_tls(tls: &Tls) -> anyhow::Result<ServerConfig> {
    let open = |path| File::open(path).map(BufReader::new);
    let chain = open(&tls.cert)
        .map_err(anyhow::Error::from)
        .and_then(|file| {
            let chain = CertificateDer::pem_reader_iter(file).collect::<Result<Vec<_>, _>>()?;
            anyhow::ensure!(!chain.is_empty(), "no items found");
            Ok(chain)
        })
        .with_context(|| {
            format!(
                "server.tls_cert: {} is no PEM file of certificates",
                tls.cert.display()
            )
        })?;
    let key = open(&tls.key)
        .map_err(anyhow::Error::from)
        .and_then(|file| Ok(PrivateKeyDer::from_pem_reader(file)?))
        .with_context(|| {
            format!(
                "server.tls_key: {} is no PEM file of a private key",
                tls.key.display()
            )
        })?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| {
            format!(
                "server.tls_cert and server.tls_key: {} and {} do not fit together",
                tls.cert.display(),
                tls.key.display()
            )
        })
}
