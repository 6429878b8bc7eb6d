//! TODO
pub mod openapi;
