//! `wrk` as the load: 2 threads, targets drawn uniformly.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::file::Made;
use super::server::KEY;

/// Makes sure that it is there.
pub fn find() -> anyhow::Result<()> {
    Command::new("wrk")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("this bench needs the program `wrk`; benches/scale installs it")?;
    Ok(())
}

/// What `wrk` runs: requests with the key, and at the end a line of figures. `target` is an
/// expression in Lua, in which `id()` is that of any call. The ids stay the bytes they are in the
/// file: ten million of them would be too much of a table.
pub fn script(made: &Made, name: &str, target: &str) -> anyhow::Result<PathBuf> {
    let script = format!(
        r#"
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

local ids, calls = "", {calls}
function init(args)
  math.randomseed(seed)
  local file = io.open({ids:?}, "rb")
  ids = file:read("*a")
  file:close()
end

local function id()
  local at = math.random(calls) * 4
  local a, b, c, d = ids:byte(at - 3, at)
  return a + 256 * (b + 256 * (c + 256 * d))
end

function request()
  return "GET " .. {target} ..
    " HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {KEY}\r\n\r\n"
end

function done(summary)
  local errors = 0
  for _, count in pairs(summary.errors) do errors = errors + count end
  io.write(string.format("\nfigures %d %d %d\n", summary.requests, summary.duration, errors))
end
"#,
        calls = made.calls,
        ids = made.ids,
    );
    let path = made.path.with_extension(format!("{name}.lua"));
    std::fs::write(&path, script)?;
    Ok(path)
}

/// Requests per second that `address` answered, all of them with a 200.
pub fn drive(
    address: SocketAddr,
    script: &Path,
    connections: u32,
    seconds: u32,
) -> anyhow::Result<f64> {
    let output = Command::new("wrk")
        .args(["--threads", "2"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(script)
        .arg(format!("http://{address}"))
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text
        .lines()
        .find_map(|line| line.strip_prefix("figures "))
        .with_context(|| format!("wrk ended without its figures:\n{text}"))?;
    let figures: Vec<f64> = figures
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, micros, errors] = figures[..] else {
        bail!("wrk's figures can't be read: {figures:?}");
    };
    ensure!(errors == 0.0, "{errors} requests failed:\n{text}");
    ensure!(requests > 0.0, "nothing was answered:\n{text}");
    Ok(requests / micros * 1e6)
}
