//! The key that the simulator accepts and the tests present.

pub const KEY: &str = "burki_0123456789abcdefghijklmnopqrstuv";
