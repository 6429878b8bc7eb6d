//! The edge's own endpoints: `status`, `health`, `change_feed`, `outbox`, `webhooks` (whose secret
//! is in `webhook_secret`), and `openapi`, the document of all of them.
pub mod change_feed;
pub mod health;
pub mod openapi;
pub mod outbox;
pub mod status;
pub mod webhook_secret;
pub mod webhooks;
