//! nginx's `proxy_cache` before the simulator. It checks no key.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::Settings;
use super::client::Answer;
use super::data::Sample;
use super::load::Load;
use super::peer::{Peer, as_the_api};
use super::service::{DEADLINE, Service};

pub struct Nginx {
    service: Service,
    misses: PathBuf,
}

impl Nginx {
    pub fn start(settings: &Settings, upstream: SocketAddr) -> anyhow::Result<Nginx> {
        let folder = settings.folder.path().join("nginx");
        std::fs::create_dir(&folder)?;
        let misses = folder.join("misses");
        let (workers, files) = (settings.workers, open_files()?);
        // 1 MB of keys for 4,000 answers, half of what the documentation says it holds.
        let zone = 16 + settings.calls / 4000;
        let kept = files / workers * 3 / 4;
        let arrange = |command: &mut std::process::Command, address| {
            let config = format!(
                r#"
user root;
daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; multi_accept on; }}
http {{
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
    scgi_temp_path t5;
    # The access log is off, save for what was not a hit.
    map $upstream_cache_status $missed {{ HIT 0; default 1; }}
    log_format missed "$upstream_cache_status $request_uri";
    access_log {misses} missed if=$missed;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    keepalive_time 1d;
    open_file_cache max={kept} inactive=1d;
    open_file_cache_valid 1d;
    proxy_cache_path cache levels=1:2 keys_zone=calls:{zone}m inactive=1d use_temp_path=off;
    upstream simulator {{ server {upstream}; keepalive 64; }}
    server {{
        listen {address} reuseport;
        location / {{
            proxy_pass http://simulator;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache calls;
            proxy_cache_key $request_uri;
            proxy_cache_valid 200 1d;
            proxy_ignore_headers Cache-Control Expires Vary Set-Cookie;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"#,
                misses = misses.display(),
            );
            let file = folder.join("nginx.conf");
            std::fs::write(&file, config)?;
            command.arg("-p").arg(&folder).arg("-c").arg(&file);
            Ok(())
        };
        Ok(Nginx {
            service: Service::start("nginx", "nginx", &folder, DEADLINE, arrange)?,
            misses: misses.clone(),
        })
    }
}

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn address(&self, _: Load) -> SocketAddr {
        self.service.address
    }

    /// The upstream gives no tag, and nginx makes none. What it never saw it can't have kept.
    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        (!matches!(load, Load::NotModified | Load::Unkept)).then(|| load.target())
    }

    fn check(&self, load: Load, sample: &Sample, answer: &Answer) -> anyhow::Result<()> {
        ensure!(answer.header("x-cache") == Some("HIT"), "not a hit");
        as_the_api(load, sample, answer)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn misses(&self) -> anyhow::Result<u64> {
        let log = std::fs::read(&self.misses)?;
        Ok(log.iter().filter(|byte| **byte == b'\n').count() as u64)
    }
}

/// How many files a process may have open.
fn open_files() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4));
    Ok(hard.context("no limit of open files")?.parse()?)
}
