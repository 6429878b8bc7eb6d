//! A client with one kept connection, which asks one thing after the other: as little of HTTP as
//! that takes, so that what is timed is the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::server::KEY;

const DEADLINE: Duration = Duration::from_secs(120);

pub struct Client {
    stream: BufReader<TcpStream>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Vec<u8>,
    /// From before the first byte was sent until the last had come.
    pub took: Duration,
}

impl Client {
    pub fn connect(address: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Client {
            stream: BufReader::with_capacity(1 << 16, stream),
        })
    }

    /// `headers`: further ones, each ended by CR LF.
    pub fn get(&mut self, target: &str, headers: &str) -> anyhow::Result<Answer> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {KEY}\r\n{headers}\r\n"
        );
        let begun = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut answer = self
            .read()
            .with_context(|| format!("asking for {target}"))?;
        answer.took = begun.elapsed();
        Ok(answer)
    }

    /// What must be there.
    pub fn found(&mut self, target: &str) -> anyhow::Result<Answer> {
        let answer = self.get(target, "")?;
        let (status, body) = (answer.status, String::from_utf8_lossy(&answer.body));
        ensure!(status == 200, "{target} is answered {status}: {body}");
        Ok(answer)
    }

    /// Bytes per second of a long answer, of which no more than `most` are read. Ends the connection.
    pub fn rate(mut self, target: &str, most: u64) -> anyhow::Result<f64> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {KEY}\r\n\
             Connection: close\r\n\r\n"
        );
        let begun = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut status = String::new();
        self.stream.read_line(&mut status)?;
        ensure!(status.contains(" 200 "), "{target} is answered {status}");
        let read = std::io::copy(&mut self.stream.take(most), &mut std::io::sink())?;
        Ok(read as f64 / begun.elapsed().as_secs_f64())
    }

    fn read(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status")?.parse()?;
        let (mut length, mut etag) = (0, None);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            } else if name.eq_ignore_ascii_case("etag") {
                etag = Some(value.to_owned());
            } else {
                ensure!(
                    !name.eq_ignore_ascii_case("transfer-encoding"),
                    "a body without a length"
                );
            }
        }
        let mut body = vec![0; if status == 304 { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        Ok(Answer {
            status,
            etag,
            body,
            took: Duration::ZERO,
        })
    }
}
