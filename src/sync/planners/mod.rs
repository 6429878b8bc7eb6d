//! TODO

pub mod assistants;
pub mod count_bisection;
pub mod count_check;
pub mod date_format;
pub mod deletion_guard;
pub mod deletion_proof;
pub mod details;
pub mod feed;
pub mod head_page;
pub mod key_witness;
pub mod misses;
pub mod outbox;
pub mod page_extent;
pub mod revalidation;
pub mod same_instant;
pub mod unreadable;
