//! A client that asks one thing after the other: to warm, and to see that answers are right.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

pub struct Answer {
    pub status: u16,
    head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// By its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.head.iter().find(|(known, _)| known == name)?;
        Some(&header.1)
    }
}

/// A connection that is kept.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Client(BufReader::with_capacity(64 << 10, stream)))
    }

    /// The same request as `requests.lua` makes.
    pub fn get(&mut self, target: &str, key: &str, tag: Option<&str>) -> anyhow::Result<Answer> {
        let condition = tag.map(|tag| format!("If-None-Match: {tag}\r\n"));
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\n{}\r\n",
            condition.unwrap_or_default()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        self.answer().with_context(|| format!("GET {target}"))
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut answer = Answer {
            status: status.with_context(|| format!("not a status: {line:?}"))?,
            head: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let header = (name.to_ascii_lowercase(), value.trim().to_owned());
            answer.head.push(header);
        }
        if answer.status == 304 {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            let length = length.parse()?;
            self.read(length, &mut answer.body)?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = usize::from_str_radix(&self.line()?, 16)?;
                self.read(length, &mut answer.body)?;
                self.line()?;
                if length == 0 {
                    break;
                }
            }
        } else {
            bail!("an answer without a length");
        }
        Ok(answer)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn read(&mut self, length: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
        let before = body.len();
        body.resize(before + length, 0);
        self.0.read_exact(&mut body[before..])
    }
}
