//! Compares two files side by side: pure, in constant memory except for the differences.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::Timestamp;
use crate::store::Text;

/// A call that differs between the replica and the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub id: i64,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The upstream has it, the replica does not.
    Missing,
    /// The replica has it, the upstream does not.
    Extra,
    /// The names of the top-level JSON fields that differ, sorted; never their values.
    Different(Vec<String>),
}

/// The result of comparing everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub calls: u64,
    /// Sorted by ascending id.
    pub differences: Vec<Difference>,
    /// Ids of stored calls at which the upstream fails now.
    pub unreadable: Vec<i64>,
    /// Spans of starts in which the upstream fails at a call, none of which is stored.
    pub unread: Vec<RangeInclusive<Timestamp>>,
}

/// The number of differences of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub missing: usize,
    pub extra: usize,
    pub different: usize,
}

impl Tally {
    pub fn of(differences: &[Difference]) -> Tally {
        let mut tally = Tally::default();
        for difference in differences {
            match difference.kind {
                Kind::Missing => tally.missing += 1,
                Kind::Extra => tally.extra += 1,
                Kind::Different(_) => tally.different += 1,
            }
        }
        tally
    }
}

/// Compares the calls stored `here` with those stored `there`; both come by strictly ascending id.
/// Calls that started before `since` on every side that has them are left out.
///
/// # Errors
/// The first error of either side.
pub fn compare<E>(
    here: impl Iterator<Item = Result<Text, E>>,
    there: impl Iterator<Item = Result<Text, E>>,
    since: Timestamp,
) -> Result<Compared, E> {
    let (mut here, mut there) = (here, there);
    let (mut ours, mut theirs) = (here.next().transpose()?, there.next().transpose()?);
    let mut compared = Compared::default();
    loop {
        let order = match (&ours, &theirs) {
            (None, None) => return Ok(compared),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(ours), Some(theirs)) => ours.id.cmp(&theirs.id),
        };
        let (mut left, mut right) = (None, None);
        if order.is_le() {
            left = std::mem::replace(&mut ours, here.next().transpose()?);
        }
        if order.is_ge() {
            right = std::mem::replace(&mut theirs, there.next().transpose()?);
        }
        let both = [&left, &right];
        let meant = |text: &Text| text.started_at.is_none_or(|start| start >= since);
        if !both.into_iter().flatten().any(meant) {
            continue;
        }
        compared.calls += 1;
        let id = both.into_iter().flatten().map(|text| text.id).next();
        let body = |text: &Option<Text>| text.as_ref().map(|text| text.body.clone());
        let kind = match (&left, &right) {
            // By far the most common case, so nothing is copied for it.
            (Some(ours), Some(theirs)) if ours.body == theirs.body => None,
            _ => difference(body(&left).as_deref(), body(&right).as_deref()),
        };
        let found = id.zip(kind).map(|(id, kind)| Difference { id, kind });
        compared.differences.extend(found);
    }
}

/// How two texts of one call differ, if they do. Equal JSON is the same record, however it is
/// spelled; numbers are equal if their digits are.
pub fn difference(here: Option<&str>, there: Option<&str>) -> Option<Kind> {
    let (here, there) = match (here, there) {
        (None, None) => return None,
        (None, Some(_)) => return Some(Kind::Missing),
        (Some(_), None) => return Some(Kind::Extra),
        (Some(here), Some(there)) if here == there => return None,
        (Some(here), Some(there)) => (fields(here), fields(there)),
    };
    let mut names: Vec<String> = here
        .iter()
        .filter(|(name, value)| there.get(*name) != Some(*value))
        .map(|(name, _)| name)
        .chain(there.keys().filter(|name| !here.contains_key(*name)))
        .cloned()
        .collect();
    names.sort_unstable();
    (!names.is_empty()).then_some(Kind::Different(names))
}

/// A record's fields. The store accepts nothing but objects.
fn fields(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::convert::Infallible;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same_text(r#"{"id":1}"#, r#"{"id":1}"#, None)]
    #[case::spelled_otherwise(r#"{"a":"é","id":1}"#, "{\"id\": 1,\n\"a\":\"\\u00e9\"}", None)]
    #[case::another_value(r#"{"id":1,"a":{"b":1}}"#, r#"{"id":1,"a":{"b":2}}"#, Some("a"))]
    #[case::a_field_more(r#"{"id":1}"#, r#"{"id":1,"b":null}"#, Some("b"))]
    #[case::a_field_less(r#"{"id":1,"z":0,"b":0}"#, r#"{"id":1}"#, Some("b z"))]
    #[case::a_long_number(
        r#"{"n":12345678901234567890123}"#,
        r#"{"n":12345678901234567890124}"#,
        Some("n")
    )]
    fn texts_differ_where_their_json_does(
        #[case] here: &str,
        #[case] there: &str,
        #[case] fields: Option<&str>,
    ) {
        for (one, other) in [(here, there), (there, here)] {
            let names = |fields: &str| fields.split(' ').map(str::to_owned).collect();
            let expected = fields.map(|fields| Kind::Different(names(fields)));
            assert_eq!(difference(Some(one), Some(other)), expected);
        }
    }

    #[test]
    fn an_error_of_either_side_ends_it() {
        let text = |id| Text {
            id,
            started_at: None,
            body: "{}".to_owned(),
        };
        let fine = || vec![Ok(text(1)), Ok(text(2))].into_iter();
        let broken = || vec![Ok(text(1)), Err("broken")].into_iter();
        assert_eq!(compare(fine(), broken(), Timestamp::MIN), Err("broken"));
        assert_eq!(compare(broken(), fine(), Timestamp::MIN), Err("broken"));
    }

    /// The start and the value of one field, by id.
    type Side = BTreeMap<i64, (Option<i64>, u8)>;

    fn side() -> impl Strategy<Value = Side> {
        let call = (proptest::option::weighted(0.9, 0..10_i64), 0..3_u8);
        proptest::collection::btree_map(-3..30_i64, call, 0..30)
    }

    fn texts(side: &Side) -> impl Iterator<Item = Result<Text, Infallible>> {
        side.iter().map(|(id, (start, value))| {
            Ok(Text {
                id: *id,
                started_at: start.map(Timestamp::from_micros),
                body: format!(r#"{{"id":{id},"value":{value}}}"#),
            })
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_each_id_finds(here in side(), there in side(), since in 0..10_i64) {
            let mut expected = Compared::default();
            let ids: BTreeSet<_> = here.keys().chain(there.keys()).copied().collect();
            for id in ids {
                let (ours, theirs) = (here.get(&id), there.get(&id));
                let old = |call: Option<&(Option<i64>, u8)>| {
                    call.is_none_or(|(start, _)| start.is_some_and(|start| start < since))
                };
                if old(ours) && old(theirs) {
                    continue;
                }
                expected.calls += 1;
                let kind = match (ours, theirs) {
                    (None, _) => Kind::Missing,
                    (_, None) => Kind::Extra,
                    (Some(ours), Some(theirs)) if ours.1 == theirs.1 => continue,
                    _ => Kind::Different(vec!["value".to_owned()]),
                };
                expected.differences.push(Difference { id, kind });
            }
            let since = Timestamp::from_micros(since);
            prop_assert_eq!(compare(texts(&here), texts(&there), since), Ok(expected));
        }
    }
}
