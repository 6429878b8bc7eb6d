//! All calls of a file in order of their ids, to compare it with another.

use rusqlite::Row;

use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::read::reader::Reader;

/// The rows that a statement reads. No read transaction is open between two, so that a long scan
/// does not hold up checkpoints.
const PAGE: usize = 256;

/// The text of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub id: i64,
    pub started_at: Option<Timestamp>,
    /// The upstream's JSON.
    pub body: String,
}

/// The calls of a file by ascending id, page by page. Each page is of the file as it is then.
pub struct Scan<'a> {
    reader: &'a Reader,
    page: std::vec::IntoIter<Text>,
    /// The last id of the page; `None` once there is no next page.
    after: Option<i64>,
}

impl Reader {
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            reader: self,
            page: Vec::new().into_iter(),
            after: Some(i64::MIN),
        }
    }

    /// Up to a page of calls with an id above `after`, ascending.
    fn texts_after(&self, after: i64) -> Result<Vec<Text>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id, started_at, body FROM calls WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let texts = select
            .query_map((after, PAGE), text)?
            .collect::<Result<_, _>>()?;
        Ok(texts)
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Text, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(text) = self.page.next() {
            return Some(Ok(text));
        }
        match self.reader.texts_after(self.after?) {
            Ok(page) => {
                self.after = page.last().map(|text| text.id);
                self.page = page.into_iter();
                self.page.next().map(Ok)
            }
            Err(error) => {
                self.after = None;
                Some(Err(error))
            }
        }
    }
}

fn text(row: &Row<'_>) -> rusqlite::Result<Text> {
    Ok(Text {
        id: row.get(0)?,
        started_at: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_micros),
        body: row.get(2)?,
    })
}
