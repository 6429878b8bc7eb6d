//! What the figures were measured on and with.

use std::process::Command;

use anyhow::Context;

use super::datasette;

/// Cores, memory, model and kernel.
pub fn size() -> anyhow::Result<String> {
    let field = |file: &str, name: &str| -> anyhow::Result<String> {
        let text = std::fs::read_to_string(file)?;
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        Ok(value
            .map_or("unknown", |(_, value)| value)
            .trim()
            .to_owned())
    };
    let memory = field("/proc/meminfo", "MemTotal")?;
    let kilobytes: f64 = memory.trim_end_matches(" kB").parse()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{} cores, {:.0} GB, {}, Linux {}",
        std::thread::available_parallelism()?,
        kilobytes * 1024.0 / 1e9,
        field("/proc/cpuinfo", "model name")?,
        kernel.trim()
    ))
}

/// Each that takes part, and its version.
pub fn versions() -> anyhow::Result<String> {
    let python = datasette::environment()?.join("bin/python");
    let python = python.to_str().context("a path that is no text")?;
    let version = "import importlib.metadata as m; print('=' + m.version('datasette'))";
    let asked: [(&str, &[&str], &[&str]); 5] = [
        ("nginx", &["nginx", "-v"], &["nginx/"]),
        ("Varnish", &["varnishd", "-V"], &["varnish-"]),
        ("Redis", &["redis-server", "--version"], &["v="]),
        ("Datasette", &[python, "-c", version], &["="]),
        ("wrk", &["wrk", "--version"], &["debian/", "wrk "]),
    ];
    let mut told = format!("burki-edge {}", env!("CARGO_PKG_VERSION"));
    for (name, command, before) in asked {
        let output = Command::new(command[0])
            .args(&command[1..])
            .output()
            .with_context(|| format!("{name} is missing; benches/peers/run installs it"))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let after = before.iter().find_map(|before| text.split_once(before));
        let version = after.map(|(_, version)| {
            let end = version.find(|c: char| c.is_whitespace() || c == ')');
            &version[..end.unwrap_or(version.len())]
        });
        told += &format!(", {name} {}", version.unwrap_or("unknown"));
    }
    Ok(told)
}
