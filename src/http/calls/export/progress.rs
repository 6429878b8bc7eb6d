//! An export in progress: its position, and its next batch.

use actix_web::web::Bytes;

use crate::http::caching::content_coding::Coding;
use crate::http::calls::export::document::{Document, Format};
use crate::http::error::ApiError;
use crate::http::reading::scans::ScanPermit;
use crate::model::CallFilter;
use crate::store::Place;

/// The rows that are read at once: a few hundred kilobytes.
const BATCH: usize = 1000;

/// The state of an export. It keeps its permit until it is dropped.
pub struct Progress {
    turn: ScanPermit,
    filter: CallFilter,
    after: Option<Place>,
    document: Document,
}

/// What was written, and the state to continue with; `None` at the end.
pub type Step = (Bytes, Option<Progress>);

impl Progress {
    pub fn new(
        turn: ScanPermit,
        filter: CallFilter,
        format: Format,
        coding: Coding,
    ) -> Result<Progress, ApiError> {
        let document = Document::new(format, coding)?;
        Ok(Progress {
            turn,
            filter,
            after: None,
            document,
        })
    }

    /// Reads and writes a batch. It blocks.
    pub fn step(mut self) -> Result<Step, ApiError> {
        if self.after.is_none() {
            let names = self.turn.read(|reader| reader.assistants())?;
            self.document.know(names)?;
        }
        let rows = self
            .turn
            .read(|reader| reader.list_after(&self.filter, self.after, BATCH))?;
        for row in &rows {
            self.document.add(&row.body)?;
        }
        match rows.last() {
            Some(last) if rows.len() == BATCH => {
                self.after = Some(Place {
                    started_at: last.started_at,
                    id: last.id,
                });
                Ok((self.document.take()?, Some(self)))
            }
            _ => Ok((self.document.finish()?, None)),
        }
    }
}
