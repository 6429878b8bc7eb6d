//! Lists and counts of calls.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::error;
use super::exchange::ApiResponse;
use super::params::{Query, Reader};
use crate::model::{Timestamp, fold};
use crate::simulator::config::Total;
use crate::simulator::order::{self, Place};
use crate::simulator::record::Flavour;
use crate::simulator::record::Record;
use crate::simulator::world::World;

/// All filters of a list, combined with AND.
#[derive(Debug, Default)]
pub(super) struct Filter {
    status: Option<String>,
    assistant_id: Option<i64>,
    /// This and the next two are substrings in lower case.
    customer_phone: Option<String>,
    call_sid: Option<String>,
    assistant_name: Option<String>,
    date_from: Option<Timestamp>,
    date_to: Option<Timestamp>,
    min_duration: Option<i64>,
    max_duration: Option<i64>,
}

impl Filter {
    /// Reads the filters that lists and exports share. A substring filter that the server does not
    /// know is ignored.
    pub(super) fn of_calls(reader: &mut Reader<'_>, knows: impl Fn(&str) -> bool) -> Filter {
        let part = |reader: &mut Reader<'_>, name| knows(name).then(|| reader.part(name)).flatten();
        Filter {
            status: reader.text("status").map(str::to_owned),
            assistant_id: reader.integer("assistant_id").filter(|id| *id != 0),
            customer_phone: part(reader, "customer_phone"),
            call_sid: part(reader, "call_sid"),
            assistant_name: part(reader, "assistant_name"),
            date_from: reader.date("date_from"),
            date_to: reader.date("date_to"),
            ..Filter::default()
        }
    }

    /// True if the filter uses status and dates only, which have an index.
    fn is_indexed(&self) -> bool {
        self.assistant_id.is_none()
            && self.customer_phone.is_none()
            && self.call_sid.is_none()
            && self.assistant_name.is_none()
            && self.min_duration.is_none()
            && self.max_duration.is_none()
    }

    /// True if the record passes the filters without an index.
    fn passes(&self, record: &Record) -> bool {
        let has = |part: &Option<String>, text: &str| match part {
            Some(part) => fold(text).contains(part.as_str()),
            None => true,
        };
        let bound = |seconds: Option<i64>| seconds.map(|seconds| seconds as f64);
        let (least, most) = (bound(self.min_duration), bound(self.max_duration));
        self.assistant_id.is_none_or(|id| record.assistant_id == id)
            && has(&self.customer_phone, &record.customer_phone_number)
            && has(&self.call_sid, &record.call_sid)
            && has(
                &self.assistant_name,
                record.assistant_name.as_deref().unwrap_or_default(),
            )
            && least.is_none_or(|least| record.duration.is_some_and(|seconds| seconds >= least))
            && most.is_none_or(|most| record.duration.is_some_and(|seconds| seconds <= most))
    }
}

impl World {
    pub(super) fn list(&mut self, query: &Query) -> ApiResponse {
        let mut reader = Reader::new(query, &self.config);
        let skip = reader.bounded("skip", 0, 0, i64::MAX);
        let limit = reader.bounded("limit", 100, 1, self.config.most_rows);
        let hosted = self.flavour() == Flavour::Hosted;
        let filter = Filter::of_calls(&mut reader, |name| hosted || name == "customer_phone");
        let filter = Filter {
            min_duration: reader.integer("min_duration"),
            max_duration: reader.integer("max_duration"),
            ..filter
        };
        if let Some(refusal) = self.refusal(&reader, &filter) {
            return refusal;
        }
        let rows = self.config.page_cap.unwrap_or(limit).min(limit);
        // The request has a generator of its own, because the places stay borrowed from the world.
        let mut shuffle = StdRng::from_rng(&mut self.shuffle);
        let (mut ids, total) = self.with_places(&filter, |places| {
            (order::page(places, skip, rows, &mut shuffle), places.len())
        });
        if shuffle.random_bool(self.config.doubled) && !ids.is_empty() {
            let place = shuffle.random_range(0..ids.len());
            ids.insert(place, ids[place]);
            ids.truncate(limit);
        }
        self.page(ids, total, skip, limit)
    }

    pub(super) fn count(&self, query: &Query) -> ApiResponse {
        let mut reader = Reader::new(query, &self.config);
        let filter = Filter {
            status: reader.text("status").map(str::to_owned),
            assistant_id: reader.integer("assistant_id").filter(|id| *id != 0),
            date_from: reader.date("date_from"),
            date_to: reader.date("date_to"),
            ..Filter::default()
        };
        if let Some(refusal) = self.refusal(&reader, &filter) {
            return refusal;
        }
        let count = self.with_places(&filter, <[Place]>::len);
        ApiResponse::json(200, format!("{{\"count\":{count}}}"))
    }

    /// A 422, or the self-hosted server's 500 for an unknown assistant.
    fn refusal(&self, reader: &Reader<'_>, filter: &Filter) -> Option<ApiResponse> {
        if !reader.errors.is_empty() {
            return Some(error::unprocessable(self.flavour(), &reader.errors));
        }
        let unknown = filter
            .assistant_id
            .is_some_and(|id| !self.knows_assistant(id));
        (unknown && self.flavour() == Flavour::SelfHosted).then(error::server_error)
    }

    /// Calls `read` with the places of all matching records, ascending.
    pub(super) fn with_places<T>(&self, filter: &Filter, read: impl FnOnce(&[Place]) -> T) -> T {
        let places = match self.order(filter.status.as_deref()) {
            Some(order) => order.range(filter.date_from, filter.date_to),
            None => &[],
        };
        if filter.is_indexed() {
            return read(places);
        }
        let passes = |id| self.get(id).is_some_and(|record| filter.passes(record));
        let matching = places.iter().filter(|(_, id)| passes(*id));
        read(&matching.copied().collect::<Vec<Place>>())
    }

    fn page(&self, ids: Vec<i64>, total: usize, skip: usize, limit: usize) -> ApiResponse {
        let hosted = self.flavour() == Flavour::Hosted;
        let mut body = String::with_capacity(512 * ids.len() + 64);
        body.push_str(if hosted { "{\"items\":[" } else { "[" });
        for (index, record) in ids.iter().filter_map(|id| self.get(*id)).enumerate() {
            if index > 0 {
                body.push(',');
            }
            record.render(self.flavour(), &mut body);
        }
        body.push(']');
        if hosted {
            let total = match self.config.total {
                Total::True => format!(",\"total\":{total}"),
                Total::Missing => String::new(),
                Total::Null => ",\"total\":null".to_owned(),
                Total::Capped(most) => format!(",\"total\":{}", total.min(most)),
            };
            body.push_str(&format!("{total},\"skip\":{skip},\"limit\":{limit}}}"));
        }
        let mut response = ApiResponse::json(200, body);
        response.records = ids;
        response
    }
}
