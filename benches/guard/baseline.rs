//! What the operations cost when somebody last agreed to it.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::operation::Operation;

#[derive(Default)]
pub struct Baseline(Vec<Row>);

#[derive(Serialize, Deserialize)]
struct Row {
    operation: String,
    instructions: f64,
    code_misses: f64,
    data_misses: f64,
    last_misses: f64,
}

impl Baseline {
    /// Without a file, none is known.
    pub fn read(path: &Path) -> anyhow::Result<Baseline> {
        if !path.exists() {
            return Ok(Baseline::default());
        }
        let rows = csv::Reader::from_path(path)?.into_deserialize();
        let rows: Result<_, _> = rows.collect();
        Ok(Baseline(rows.with_context(|| path.display().to_string())?))
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(File::create(path)?);
        for row in &self.0 {
            writer.serialize(row)?;
        }
        Ok(writer.flush()?)
    }

    pub fn get(&self, operation: Operation) -> Option<Cost> {
        let name = operation.to_string();
        let row = self.0.iter().find(|row| row.operation == name)?;
        Some(Cost {
            instructions: row.instructions,
            code_misses: row.code_misses,
            data_misses: row.data_misses,
            last_misses: row.last_misses,
        })
    }

    pub fn put(&mut self, operation: Operation, cost: Cost) {
        let round = |count: f64| (count * 10.0).round() / 10.0;
        self.0.push(Row {
            operation: operation.to_string(),
            instructions: cost.instructions.round(),
            code_misses: round(cost.code_misses),
            data_misses: round(cost.data_misses),
            last_misses: round(cost.last_misses),
        });
    }
}
