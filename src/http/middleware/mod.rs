//! What is checked of every request, in the order in which it is.
//!
//! `connection` (places, deadlines and framing of a client's connection), `request_id`,
//! `request_limits`, `gate` with `auth`, `peer` and `token_guesses` (who may come in), `cors`, and
//! `framing` (how the answer is put on the connection).
pub mod auth;
pub mod connection;
pub mod cors;
pub mod framing;
pub mod gate;
pub mod peer;
pub mod request_id;
pub mod request_limits;
pub mod token_guesses;
