//! What assistants are called, where the calls do not tell: a self-hosted upstream lists them apart.

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

/// Names a call whose text does not.
pub fn name(names: &Names, call: &mut Call) {
    if !call.tells_name
        && let Some(id) = call.assistant_id
    {
        call.assistant_name = names.get(&id).cloned();
    }
}
