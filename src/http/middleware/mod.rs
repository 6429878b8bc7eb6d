//! TODO
pub mod auth;
pub mod connection;
pub mod cors;
pub mod framing;
pub mod gate;
pub mod peer;
pub mod request_id;
pub mod request_limits;
pub mod token_guesses;
