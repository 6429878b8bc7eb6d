//! The file's owner: the upstream, the organization and the API key from which its calls come.

use rusqlite::Connection;

/// The owner of a file's calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub base_url: String,
    /// `None` until the upstream has reported it; some upstreams never do.
    pub organization_id: Option<i64>,
    /// SHA-256, in hex, of the API key last known to be the owner's; `None` before the first.
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
