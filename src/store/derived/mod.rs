//! Tables derived from the calls, so that no query has to count rows. They change in the
//! transaction that changes a call, and always equal a count of the rows.
//!
//! In reading order: the `facts` of a call, `rollups` by day, `dictionaries` of the texts that can
//! be searched, `traces` of what was deleted, `books` (all of them for one transaction), and
//! `day_ranges`, which splits a range of time into whole days and the rest.

pub mod books;
pub mod day_ranges;
pub mod dictionaries;
pub mod facts;
pub mod rollups;
pub mod traces;
