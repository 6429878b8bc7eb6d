//! The writer's state of erasing traces of deleted texts.

#[derive(Debug, Default)]
pub struct Traces {
    /// True if there may be traces, as the file has it.
    pub exist: bool,
    /// True if traces were added since the merge began.
    pub came: bool,
    /// The index that is being merged; `None` between merges.
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
