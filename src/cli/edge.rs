//! A running edge, as the subcommands that ask one find and address it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use url::Url;

use crate::cli::config_file::ConfigFile;
use crate::config::Config;
use crate::upstream::{HttpSource, UpstreamError};

/// Longer than the edge takes for any answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The edge's address, and the credential it accepts.
#[derive(clap::Args, Debug)]
pub struct Address {
    #[command(flatten)]
    pub file: ConfigFile,

    /// The edge's address [default: the first of server.listen]
    #[arg(long)]
    url: Option<Url>,

    /// A file that holds a token of the edge's own [default: the upstream key is sent]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// An edge to be asked. Only its answer shows whether it runs.
pub struct Edge {
    source: HttpSource,
    url: Url,
}

/// The status and the body of an answer.
type Answer = (u16, Vec<u8>);

impl Address {
    pub fn edge(&self, config: &Config) -> anyhow::Result<Edge> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => usual_url(config)?,
        };
        let source = HttpSource::direct(&url, &self.token(config)?, TIMEOUT)?;
        Ok(Edge { source, url })
    }

    fn token(&self, config: &Config) -> anyhow::Result<String> {
        if let Some(path) = &self.token_file {
            let token = std::fs::read_to_string(path)
                .with_context(|| format!("--token-file: {} can't be read", path.display()))?;
            return Ok(token.trim().to_owned());
        }
        Ok(config
            .api_key()
            .context("or --token-file")?
            .expose()
            .to_owned())
    }
}

impl Edge {
    /// # Errors
    /// No edge answered: see [`Edge::silent`].
    pub async fn get(&self, path: &str) -> Result<Answer, UpstreamError> {
        self.source.get(path).await
    }

    /// The same as `get`, by `POST`: an action.
    pub async fn post(&self, path: &str) -> Result<Answer, UpstreamError> {
        self.source.post(path).await
    }

    /// The JSON of an answer, or the reason why there is none.
    pub fn read(&self, (code, body): Answer) -> anyhow::Result<Value> {
        let url = &self.url;
        match code {
            200 | 202 => serde_json::from_slice(&body).context("the edge's answer"),
            401 => bail!("the edge at {url} refuses the token; give another by --token-file"),
            _ => bail!("{url} answers with status {code}; is it a burki-edge?"),
        }
    }

    /// Reports the error of the connection alone, because no upstream is involved here.
    pub fn silent(&self, error: UpstreamError) -> anyhow::Error {
        let silent = format!("no edge answers at {}", self.url);
        match error.source {
            Some(source) => anyhow::Error::from_boxed(source).context(silent),
            None => anyhow::Error::msg(silent),
        }
    }
}

fn usual_url(config: &Config) -> anyhow::Result<Url> {
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let mut address = config.server.listen[0];
    if address.ip().is_unspecified() {
        address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    // The key goes only to an edge on this machine, or to one that was named.
    if UdpSocket::bind((address.ip(), 0)).is_err() {
        bail!("server.listen = {address} is no address of this machine; name the edge by --url");
    }
    Ok(Url::parse(&format!("{scheme}://{address}"))?)
}
