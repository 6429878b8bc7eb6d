//! Answers that look right and are not: the world's own, spoiled in one place.
//!
//! A page is split at its rows and put together again, so that everything not spoiled stays what
//! the world wrote, byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::api::ApiResponse;
use super::fault::Fault;
use super::json;

/// An integer beyond 64 bits.
const HUGE: &str = "99999999999999999999";

impl Fault {
    /// The world's answer as this fault leaves it: unchanged, unless the fault is one of those that
    /// spoil records and the answer holds one.
    pub fn spoil(&self, mut response: ApiResponse) -> ApiResponse {
        // An export stays as it is: put together again, it would lose its indentation.
        let is_export = response.header("content-disposition").is_some();
        if response.records.is_empty() || is_export || !self.spoils() {
            return response;
        }
        // Only answers that the world itself wrote have records, and those are text.
        let body = str::from_utf8(&response.body).unwrap_or_default();
        let Some(mut rows) = Rows::read(body) else {
            return response;
        };
        let id = response.records[0].to_string();
        match self {
            Fault::ShortList(most) if rows.is_list() => {
                rows.cut(*most, body);
                response.records.truncate(*most);
            }
            Fault::OtherOrder if rows.is_list() => {
                rows.rows.reverse();
                response.records.reverse();
            }
            Fault::SharedSid if rows.is_list() => rows.share_sid(),
            Fault::OtherDouble if rows.is_list() => rows.double(),
            Fault::DuplicateKeys => {
                let other = response.records[0].wrapping_add(1).to_string();
                rows.write_id(&[&id, &other]);
            }
            Fault::WrongTypes => rows.write_id(&["\"7\""]),
            Fault::WithoutId => rows.write_id(&[]),
            Fault::HugeNumber => rows.write_id(&[HUGE]),
            _ => return response,
        }
        let body = rows.write();
        response.body = body.into_bytes();
        response
    }

    fn spoils(&self) -> bool {
        matches!(
            self,
            Fault::ShortList(_)
                | Fault::OtherOrder
                | Fault::SharedSid
                | Fault::OtherDouble
                | Fault::DuplicateKeys
                | Fault::WrongTypes
                | Fault::WithoutId
                | Fault::HugeNumber
        )
    }
}

/// The records of a body and the text around them, which is empty for a single record.
struct Rows<'a> {
    head: &'a str,
    rows: Vec<Cow<'a, str>>,
    tail: Cow<'a, str>,
}

impl<'a> Rows<'a> {
    fn read(body: &'a str) -> Option<Rows<'a>> {
        let heads = ["[", "{\"items\":["];
        let Some(head) = heads.into_iter().find(|head| body.starts_with(head)) else {
            return Some(Rows {
                head: "",
                rows: vec![Cow::Borrowed(body)],
                tail: Cow::Borrowed(""),
            });
        };
        let list = &body[head.len() - 1..];
        let mut values = serde_json::Deserializer::from_str(list).into_iter::<Vec<&RawValue>>();
        let rows = values.next()?.ok()?;
        let end = values.byte_offset() - 1;
        Some(Rows {
            head,
            rows: rows.into_iter().map(|row| row.get().into()).collect(),
            tail: Cow::Borrowed(&list[end..]),
        })
    }

    fn write(self) -> String {
        [self.head, &self.rows.join(","), &self.tail].concat()
    }

    fn is_list(&self) -> bool {
        !self.head.is_empty()
    }

    /// Leaves `most` rows, and lowers the total so that nothing follows them.
    fn cut(&mut self, most: usize, body: &str) {
        self.rows.truncate(most);
        let figure = |key| json::member(body, key)?.parse::<usize>().ok();
        if let (Some(total), Some(skip)) = (figure("total"), figure("skip")) {
            let told = total.min(skip.saturating_add(most));
            let (right, wrong) = (format!("\"total\":{total},"), format!("\"total\":{told},"));
            self.tail = Cow::Owned(self.tail.replacen(&right, &wrong, 1));
        }
    }

    /// Gives the second record the first one's SID.
    fn share_sid(&mut self) {
        let [first, second, ..] = self.rows.as_mut_slice() else {
            return;
        };
        if let Some(sid) = json::member(first, "call_sid")
            && let Ok(spoiled) = json::replace(second, "call_sid", &[sid])
        {
            *second = Cow::Owned(spoiled);
        }
    }

    /// Repeats the first record, with another status.
    fn double(&mut self) {
        if let Some(first) = self.rows.first()
            && let Ok(other) = json::replace(first, "status", &["\"doubled\""])
        {
            self.rows.insert(1, Cow::Owned(other));
        }
    }

    /// Writes the first record's `id` once for each of `values`.
    fn write_id(&mut self, values: &[&str]) {
        if let Some(first) = self.rows.first_mut()
            && let Ok(spoiled) = json::replace(first, "id", values)
        {
            *first = Cow::Owned(spoiled);
        }
    }
}
