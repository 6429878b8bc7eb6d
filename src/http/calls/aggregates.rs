//! Aggregates of many calls: how many there are, how long they took, and how they ended.

use std::fmt::Write;
use std::time::Duration;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use crate::http::caching::response_cache::CachedResponse;
use crate::http::calls::list;
use crate::http::calls::question::CollectionQuery;
use crate::http::error::ApiError;
use crate::http::params::python_format::float;
use crate::http::params::{Choice, Query};
use crate::http::reading::completeness::{AnswerScope, Reach};
use crate::http::respond::json;
use crate::model::{CallFilter, Timestamp};
use crate::store::{Analytics, Assistant, Day, Durations, Reader, StoreError};

const DAY: Duration = Duration::from_secs(86_400);

/// The period, in days.
const PERIOD: Choice<u32> = Choice {
    name: "period",
    usual: 7,
    pattern: "^(1d|7d|30d|90d)$",
    values: &[("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90)],
};

/// The name of an assistant whose calls have none.
const NAMELESS: &str = "Unknown";

/// The most assistants in an answer.
const TOP: usize = 10;

/// Reads the parameters of `/count`.
pub fn count(query: &str) -> Result<CollectionQuery, ApiError> {
    let mut query = Query::of(query);
    let filter = CallFilter {
        status: query.text("status"),
        assistant_id: list::assistant(&mut query),
        date_from: query.date("date_from"),
        date_to: query.date("date_to"),
        ..CallFilter::default()
    };
    query.finish()?;
    Ok(question(Reach::of(&filter), move |reader| {
        let count = reader.count(&filter)?;
        Ok(format!(r#"{{"count":{count}}}"#))
    }))
}

/// `/stats` has no parameters.
pub fn stats() -> CollectionQuery {
    let reach = Reach::of(&CallFilter::default());
    question(reach, |reader| Ok(stats_text(&reader.durations()?)))
}

/// Reads the parameters of `/analytics`.
pub fn analytics(query: &str, now: Timestamp) -> Result<CollectionQuery, ApiError> {
    let mut query = Query::of(query);
    let days = query.choice(&PERIOD);
    query.finish()?;
    let from = now - DAY * days;
    // Without an upper bound, like the upstream: a call may be dated in the future.
    let to = Timestamp::MAX;
    let reach = Reach {
        unstarted: false,
        started: Some(from..=to),
    };
    let analytics = question(reach, move |reader| {
        Ok(analytics_text(&reader.analytics(from, to)?))
    });
    Ok(Box::new(move |reader| {
        let mut finished = analytics(reader)?;
        finished.extent.is_nameless = !reader.knows_names()?;
        Ok(finished)
    }))
}

/// A question about all that is within `reach`.
fn question(
    reach: Reach,
    read: impl FnOnce(&Reader) -> Result<String, StoreError> + Send + 'static,
) -> CollectionQuery {
    Box::new(move |reader| {
        let mut extent = AnswerScope::whole(reach);
        // Read before the figures: the calls that no window verifies.
        extent.suspect(&reader.unverified()?);
        let text = read(reader)?;
        let hash = list::first(&Sha256::digest(text.as_bytes()));
        Ok(CachedResponse::new(text.into(), hash, extent))
    })
}

fn stats_text(durations: &Durations) -> String {
    let (calls, seconds) = (durations.calls, seconds(durations.total_us));
    let average = float(ratio(seconds, durations.timed));
    // Whole seconds add up to an integer.
    let total = match seconds.fract() == 0.0 {
        true => format!("{seconds:.0}"),
        false => float(seconds),
    };
    format!(r#"{{"total_calls":{calls},"total_duration":{total},"average_duration":{average}}}"#)
}

fn analytics_text(analytics: &Analytics) -> String {
    let Analytics {
        calls,
        completed,
        failed,
        ongoing,
        ..
    } = analytics;
    let total = seconds(analytics.duration_us);
    let average = float(ratio(total, analytics.timed));
    let rate = float(ratio(*completed as f64, *calls) * 100.0);
    let total = float(total);
    let mut text = format!(
        r#"{{"total_calls":{calls},"completed_calls":{completed},"failed_calls":{failed},"ongoing_calls":{ongoing},"total_duration":{total},"avg_duration":{average},"success_rate":{rate},"daily_stats":{{"#
    );
    for day in &analytics.days {
        write_day(&mut text, day);
    }
    text.push_str(r#"},"top_assistants":["#);
    for assistant in analytics.assistants.iter().take(TOP) {
        write_assistant(&mut text, assistant);
    }
    text.push_str("]}");
    text
}

fn write_day(text: &mut String, day: &Day) {
    separate(text, '{');
    let date = i32::try_from(day.day)
        .ok()
        .and_then(NaiveDate::from_epoch_days);
    let date = date.unwrap_or_default();
    let (calls, completed, failed) = (day.calls, day.completed, day.failed);
    // Writing to a string can't fail.
    let _ = write!(
        text,
        r#""{date}":{{"total":{calls},"completed":{completed},"failed":{failed}}}"#
    );
}

fn write_assistant(text: &mut String, assistant: &Assistant) {
    separate(text, '[');
    let (id, calls) = (assistant.id, assistant.calls);
    let name = json(&assistant.name.as_deref().unwrap_or(NAMELESS));
    let duration = float(seconds(assistant.duration_us));
    // Writing to a string can't fail.
    let _ = write!(
        text,
        r#"{{"assistant_id":{id},"assistant_name":{name},"calls":{calls},"duration":{duration}}}"#
    );
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Adds a comma, unless the item is the first.
fn separate(text: &mut String, opening: char) {
    if !text.ends_with(opening) {
        text.push(',');
    }
}

/// 0 if the whole is 0.
fn ratio(part: f64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part / whole as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_no_calls_everything_is_zero() {
        assert_eq!(
            stats_text(&Durations::default()),
            r#"{"total_calls":0,"total_duration":0,"average_duration":0.0}"#
        );
        assert_eq!(
            analytics_text(&Analytics::default()),
            concat!(
                r#"{"total_calls":0,"completed_calls":0,"failed_calls":0,"ongoing_calls":0,"#,
                r#""total_duration":0.0,"avg_duration":0.0,"success_rate":0.0,"#,
                r#""daily_stats":{},"top_assistants":[]}"#
            )
        );
    }

    #[test]
    fn the_figures_are_written_as_they_were_captured() {
        let day = |day, calls| Day {
            day,
            calls,
            completed: 1,
            failed: 0,
        };
        let assistant = |id, name: Option<&str>| Assistant {
            id,
            name: name.map(str::to_owned),
            calls: 3,
            duration_us: 439_534_000_000,
        };
        let analytics = Analytics {
            calls: 271,
            completed: 205,
            failed: 45,
            ongoing: 20,
            timed: 195,
            duration_us: 716_239_000_000,
            days: vec![day(-1, 2), day(20_774, 26)],
            assistants: vec![assistant(2, Some("Support \"Größe\"")), assistant(9, None)],
        };
        assert_eq!(
            analytics_text(&analytics),
            concat!(
                r#"{"total_calls":271,"completed_calls":205,"failed_calls":45,"ongoing_calls":20,"#,
                r#""total_duration":716239.0,"avg_duration":3673.020512820513,"#,
                r#""success_rate":75.64575645756457,"daily_stats":{"#,
                r#""1969-12-31":{"total":2,"completed":1,"failed":0},"#,
                r#""2026-11-17":{"total":26,"completed":1,"failed":0}},"top_assistants":["#,
                r#"{"assistant_id":2,"assistant_name":"Support \"Größe\"","calls":3,"duration":439534.0},"#,
                r#"{"assistant_id":9,"assistant_name":"Unknown","calls":3,"duration":439534.0}]}"#
            )
        );
    }
}
