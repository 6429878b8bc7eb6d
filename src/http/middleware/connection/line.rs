//! The phase of one connection, and its time limits. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How long a request's head may take from its first byte, and how long a connection that never
/// showed a token may wait for its next request.
const STRANGER: Duration = Duration::from_secs(5);

/// The same if there are many such connections.
const STRANGER_IN_A_CROWD: Duration = Duration::from_secs(1);

/// How long a connection that showed a token may wait for its next request: longer than the pauses
/// of a program that keeps one open, shorter than the minutes after which routers forget it.
const KNOWN: Duration = Duration::from_secs(75);

/// How long a body may stall; its reader has a shorter limit.
const BODY: Duration = Duration::from_secs(35);

/// How long a client that showed a token may accept nothing that is sent. The system's buffers hide
/// a slow reader: one of a KiB a second takes nothing more for minutes.
const READER: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the first byte of a request.
    Waits,
    /// A head has begun.
    Head,
    /// A request is being answered, or its body is being read.
    Serves { reads_body: bool },
    /// The last answer was sent: further bytes are discarded until the client has it.
    Leaves,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent nothing, or accepts nothing.
    Idle,
    /// The request's head did not end in time (RFC 9110, section 15.5.9).
    HeadTooSlow,
}

#[derive(Debug)]
pub struct Line {
    phase: Phase,
    /// When the phase was first checked, which is after it began; for a body, after its last bytes
    /// came. A request that is answered at once needs no clock.
    since: Option<Instant>,
    /// Since when the client accepts nothing that is sent.
    blocked: Option<Instant>,
    is_known: bool,
}

impl Line {
    pub fn new() -> Line {
        Line {
            phase: Phase::Waits,
            since: None,
            blocked: None,
            is_known: false,
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, None);
    }

    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Records that a valid token was shown.
    pub fn known(&mut self) {
        self.is_known = true;
    }

    /// Records that some of an answer was accepted, or that none could be sent.
    pub fn wrote(&mut self, some: bool) {
        match some {
            true => self.blocked = None,
            false => _ = self.blocked.get_or_insert_with(Instant::now),
        }
    }

    /// How long the client may wait before its next request, and the `Keep-Alive` that says so (RFC
    /// 2068, section 19.7.1.1).
    pub fn keeps_alive(&self, is_crowded: bool) -> (Duration, &'static str) {
        match self.is_known && !is_crowded {
            true => (KNOWN, "timeout=75"),
            false => (STRANGER, "timeout=5"),
        }
    }

    /// Checks the clock: when and why the connection ends if nothing happens any more.
    pub fn end(&mut self, is_crowded: bool, now: Instant) -> Option<(Instant, End)> {
        let since = *self.since.get_or_insert(now);
        let stranger = match is_crowded {
            true => STRANGER_IN_A_CROWD,
            false => STRANGER,
        };
        let known_or = |known| if self.is_known { known } else { stranger };
        let phase = match self.phase {
            Phase::Waits => Some((known_or(self.keeps_alive(is_crowded).0), End::Idle)),
            Phase::Head => Some((known_or(STRANGER), End::HeadTooSlow)),
            Phase::Serves { reads_body: true } => Some((BODY, End::Idle)),
            Phase::Serves { reads_body: false } => None,
            Phase::Leaves => Some((known_or(STRANGER), End::Idle)),
        };
        let phase = phase.map(|(after, end)| (since + after, end));
        let blocked = self.blocked.map(|at| (at + known_or(READER), End::Idle));
        phase.into_iter().chain(blocked).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds after which it ends, and why.
    fn ends(line: &mut Line, is_crowded: bool, now: Instant) -> Option<(u64, End)> {
        let (at, end) = line.end(is_crowded, now)?;
        Some((at.duration_since(now).as_secs(), end))
    }

    #[test]
    fn each_phase_has_its_time_and_a_stranger_less() {
        let now = Instant::now();
        let mut line = Line::new();
        assert_eq!(ends(&mut line, false, now), Some((5, End::Idle)));
        assert_eq!(ends(&mut line, true, now), Some((1, End::Idle)));
        line.enter(Phase::Head);
        assert_eq!(ends(&mut line, false, now), Some((5, End::HeadTooSlow)));
        assert_eq!(
            ends(&mut line, false, now + 2 * SECOND),
            Some((3, End::HeadTooSlow))
        );
        line.enter(Phase::Serves { reads_body: false });
        assert_eq!(ends(&mut line, false, now), None);
        line.known();
        line.enter(Phase::Serves { reads_body: true });
        assert_eq!(ends(&mut line, false, now), Some((35, End::Idle)));
        line.enter(Phase::Waits);
        assert_eq!(ends(&mut line, false, now), Some((75, End::Idle)));
        assert_eq!(line.keeps_alive(false).1, "timeout=75");
        assert_eq!(ends(&mut line, true, now), Some((5, End::Idle)));
        assert_eq!(line.keeps_alive(true).1, "timeout=5");
    }

    #[test]
    fn who_takes_nothing_of_an_answer_ends_and_who_takes_a_little_does_not() {
        let now = Instant::now();
        let mut line = Line::new();
        line.enter(Phase::Serves { reads_body: false });
        line.wrote(false);
        let (after, end) = ends(&mut line, false, now).unwrap();
        assert!((4..=5).contains(&after) && end == End::Idle);
        line.wrote(true);
        assert_eq!(ends(&mut line, false, now), None);
        line.known();
        line.wrote(false);
        let (after, _) = ends(&mut line, false, now).unwrap();
        assert!((599..=600).contains(&after));
    }
}
