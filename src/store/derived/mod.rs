//! What is derived from the calls, so that nothing has to be counted: kept in the transaction that
//! changes a call, and always what a count of the rows would say.
//!
//! In reading order: the `facts` of a call, `rollups` of them by day, `dictionaries` of the texts that are
//! searched, `traces` of what is gone, `books` (all of it for one transaction), and `day_ranges`, which a sum
//! over time is put together from.

pub mod books;
pub mod day_ranges;
pub mod dictionaries;
pub mod facts;
pub mod rollups;
pub mod traces;
