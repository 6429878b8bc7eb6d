//! What the writer knows of traces of what is gone.

#[derive(Debug, Default)]
pub struct Traces {
    /// There may be some, as the file has it.
    pub exist: bool,
    /// Some were left since the merging began.
    pub came: bool,
    /// The merging has begun, and got to this index.
    pub merging: Option<usize>,
}

impl Traces {
    pub fn new(exist: bool) -> Traces {
        Traces {
            exist,
            ..Traces::default()
        }
    }
}
