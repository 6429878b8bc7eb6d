//! The assistants' names. A self-hosted upstream lists them apart, because its calls lack them.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::model::Call;

/// Names by the assistants' ids.
pub type Names = HashMap<i64, String>;

pub fn read(connection: &Connection) -> rusqlite::Result<Names> {
    connection
        .prepare("SELECT assistant_id, name FROM assistants")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Sets the assistant's name of a call whose text lacks it.
pub fn name(names: &Names, call: &mut Call) {
    if !call.has_name_field
        && let Some(id) = call.assistant_id
    {
        call.assistant_name = names.get(&id).cloned();
    }
}
