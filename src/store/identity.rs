//! Whose calls a file holds, and by which key they were read.

use rusqlite::Connection;

/// Whose calls a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub base_url: String,
    /// `None` until the upstream has told, or where it never does.
    pub organization_id: Option<i64>,
    /// Of the API key that was last seen to be theirs, in hex; `None` if no key was yet.
    pub key_hash: Option<String>,
}

pub fn read(connection: &Connection) -> rusqlite::Result<Identity> {
    connection.query_row(
        "SELECT base_url, organization_id, key_hash FROM replica",
        [],
        |row| {
            Ok(Identity {
                base_url: row.get(0)?,
                organization_id: row.get(1)?,
                key_hash: row.get(2)?,
            })
        },
    )
}
