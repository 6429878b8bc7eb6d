//! What is derived from the calls, so that nobody has to count them: kept in the transaction that
//! changes a call, and always what a count of the rows would say.
//!
//! In reading order: `facts` of a call, `rollups` of them by day and hour, `dictionaries` of texts
//! that are searched, and `day_ranges` that an aggregate is put together from.

pub mod books;
pub mod day_ranges;
pub mod dictionaries;
pub mod facts;
pub mod rollups;
pub mod traces;
