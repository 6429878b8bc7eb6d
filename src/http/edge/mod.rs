//! TODO
pub mod change_feed;
pub mod health;
pub mod openapi;
pub mod outbox;
pub mod status;
pub mod webhook_secret;
pub mod webhooks;
