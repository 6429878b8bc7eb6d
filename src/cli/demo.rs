//! `burki-edge demo`: a simulated Burki and an edge of it, on loopback, without any setup.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::serve::stop_on_signal;
use crate::config::Config;
use crate::model::Timestamp;
use crate::simulator::{Flavour, Rates, Simulator, World, WorldConfig};
use crate::sync::{Handle, Phase};
use crate::telemetry;

/// A simulated Burki and an edge of it, with five commands to try
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many calls there are at the start
    #[arg(long, default_value_t = 5000)]
    calls: usize,

    /// Which server is simulated
    #[arg(long, value_enum, default_value_t = Version::Hosted)]
    upstream: Version,

    /// The address on which the edge listens
    /// [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// A folder for the file, which then stays [default: a temporary folder, removed at the end]
    #[arg(long)]
    folder: Option<PathBuf>,

    /// Print one line of JSON when it is ready, for a program to read
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    Hosted,
    SelfHosted,
}

/// What a user of the demo needs to know. `--json` prints it as it is.
#[derive(Serialize)]
struct Scene {
    edge: String,
    upstream: String,
    key: String,
    call_id: i64,
    call_sid: String,
    file: PathBuf,
}

pub async fn run(args: Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let _log = telemetry::start("warn");
    let temporary = TempDir::new().context("making a temporary folder")?;
    let folder = args.folder.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).with_context(|| format!("--folder: {}", folder.display()))?;
    if !args.json {
        writeln!(
            out,
            "Inventing {} calls for a simulated Burki ...",
            args.calls
        )?;
    }
    let simulator = simulate(&args)?;
    let config = configure(&args, &simulator, folder)?;
    let stop = stop_on_signal()?;
    let app = App::build(&config)?;
    let scene = scene(&simulator, &app, &config)?;
    let (handle, begun) = (app.handle(), Instant::now());
    let ended = CancellationToken::new();
    let running = async {
        let result = app.run_until_stopped(stop).await;
        ended.cancel();
        result
    };
    let showing = async {
        tokio::select! {
            filled = filled(handle) => {
                filled?;
                match args.json {
                    true => announce(&scene, out)?,
                    false => show(&scene, args.calls, begun.elapsed(), out)?,
                }
            }
            () = ended.cancelled() => {}
        }
        anyhow::Ok(())
    };
    let (ran, shown) = tokio::join!(running, showing);
    ran.and(shown)?;
    if !args.json {
        writeln!(out, "Stopped.")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn simulate(args: &Args) -> anyhow::Result<Simulator> {
    let world = World::new(WorldConfig {
        flavour: match args.upstream {
            Version::Hosted => Flavour::Hosted,
            Version::SelfHosted => Flavour::SelfHosted,
        },
        calls: args.calls,
        now: Timestamp::now(),
        rates: Rates {
            calls: 600.0,
            annotations: 120.0,
            deletions: 0.0,
        },
        ..WorldConfig::default()
    });
    let simulator =
        Simulator::start(world, "127.0.0.1:0").context("starting the simulated Burki")?;
    simulator.live(Timestamp::now);
    Ok(simulator)
}

fn configure(args: &Args, simulator: &Simulator, folder: &Path) -> anyhow::Result<Config> {
    let listen = args.listen.unwrap_or_else(|| {
        let usual = SocketAddr::from(([127, 0, 0, 1], 8080));
        match TcpListener::bind(usual) {
            Ok(_) => usual,
            Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    });
    let settings = [
        ("BURKI_EDGE_SERVER__LISTEN", listen.to_string()),
        ("BURKI_EDGE_UPSTREAM__BASE_URL", simulator.base_url()),
        (
            "BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE",
            "6000".to_owned(),
        ),
        ("BURKI_EDGE_SYNC__POLL_INTERVAL", "2s".to_owned()),
        ("BURKI_API_KEY", simulator.world().api_key().to_owned()),
    ];
    let mut config = Config::from_environment(settings)?;
    config.store.path = folder.join("burki-edge.db");
    if config.store.path.exists() {
        bail!(
            "--folder: {} is there already, and each demo invents its calls anew; name another \
             folder",
            config.store.path.display()
        );
    }
    Ok(config)
}

fn scene(simulator: &Simulator, app: &App, config: &Config) -> anyhow::Result<Scene> {
    let world = simulator.world();
    let newest = world
        .newest(world.len())
        .into_iter()
        .filter_map(|id| world.get(id));
    let ended = newest
        .into_iter()
        .find(|call| call.started_at.is_some() && call.costs.is_some());
    let call = ended.or_else(|| world.records().next());
    let call = call.context("--calls: a demo needs at least one call")?;
    Ok(Scene {
        edge: format!("http://{}", app.addresses()[0]),
        upstream: simulator.base_url(),
        key: world.api_key().to_owned(),
        call_id: call.id,
        call_sid: call.call_sid.to_string(),
        file: config.store.path.clone(),
    })
}

/// Waits until the replica is complete.
async fn filled(handle: Handle) -> anyhow::Result<()> {
    let mut status = handle.status();
    status
        .wait_for(|status| status.phase == Phase::Live)
        .await?;
    Ok(())
}

fn announce(scene: &Scene, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string(scene)?)?;
    Ok(out.flush()?)
}

fn show(scene: &Scene, calls: usize, took: Duration, out: &mut impl Write) -> std::io::Result<()> {
    let Scene {
        edge,
        upstream,
        key,
        call_id,
        call_sid,
        file,
    } = scene;
    let auth = format!("-H 'Authorization: Bearer {key}'");
    let took = took.as_secs_f64();
    writeln!(
        out,
        "
The edge mirrored {calls} calls in {took:.1} s. New ones start, end and get their costs as you watch.

  edge      {edge}
  upstream  {upstream}  (simulated)
  key       {key}
  file      {}

Try, in another terminal:

  1. A call by id, from the edge's own file:
     curl -i {auth} {edge}/api/v1/calls/{call_id}
  2. The same by SID:
     curl -i {auth} {edge}/api/v1/calls/sid/{call_sid}
  3. How fresh the edge is, by its own account:
     curl {auth} {edge}/edge/status
  4. Cut the upstream; the edge still answers, and says so in Age and Cache-Status:
     curl -X POST {upstream}/simulator/cut; curl -i {auth} {edge}/api/v1/calls/{call_id}
  5. Mend it; the edge catches up:
     curl -X POST {upstream}/simulator/restore; curl {auth} {edge}/edge/status

Ctrl-C ends the demo.",
        file.display(),
    )?;
    out.flush()
}
