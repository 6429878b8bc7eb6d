//! The simulator against what a real self-hosted server answered, and against its own promises.

#[path = "simulator/captures.rs"]
mod captures;
#[path = "simulator/life.rs"]
mod life;
#[path = "simulator/wire.rs"]
mod wire;
