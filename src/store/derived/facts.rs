//! The facts of a call by which it is counted and found.

use crate::model::{Call, Timestamp};

pub struct Facts<'a> {
    pub id: i64,
    pub sid: &'a str,
    pub started_at: Option<Timestamp>,
    pub status: &'a str,
    pub assistant_id: Option<i64>,
    pub duration: Option<f64>,
    pub phone: Option<&'a str>,
    pub name: Option<&'a str>,
}

impl<'a> From<&'a Call> for Facts<'a> {
    fn from(call: &'a Call) -> Facts<'a> {
        Facts {
            id: call.id,
            sid: &call.call_sid,
            started_at: call.started_at,
            status: &call.status,
            assistant_id: call.assistant_id,
            duration: call.duration,
            phone: call.customer_phone_number.as_deref(),
            name: call.assistant_name.as_deref(),
        }
    }
}
