//! The Burki API as the engine sees it: a request is a value, an answer is a value.
//!
//! [`CallSource`] is the seam. [`HttpSource`] asks a real server; a simulation answers the same
//! requests without a socket. For both, [`wire`] alone decides what bytes mean.

mod client;
mod error;
mod proxy;
mod request;
pub mod wire;

pub use client::{HttpSource, SetUpError};
pub use error::{ErrorKind, Retry, UpstreamError};
pub use proxy::{Chunks, HttpProxy, Key, Passing, Proxy, ProxyRequest, ProxyResponse};
pub use request::{
    AGE_UNIT, ASSISTANTS_LIMIT, Answer, CallSource, DateForm, IdentityEndpoint, ListQuery,
    PAGE_LIMIT, Page, Reply, Request, Spelling,
};
pub use wire::feed::{Feed, FeedItem, Told};
