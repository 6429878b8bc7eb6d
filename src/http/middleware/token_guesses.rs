//! Wrong tokens: an address that sends many waits for each further answer.
//!
//! A token has 256 bits, so no guess hits it; this bounds what guessing costs, and reports it to
//! the operator. No client is locked out: a valid token is accepted before any of this.

use std::net::IpAddr;
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::http::middleware::peer;

/// The wrong tokens of one address that are answered at once.
const FREE: u32 = 10;

/// The time without a wrong token after which an address starts from zero.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// How long an answer is delayed.
const DELAY: Duration = Duration::from_secs(1);

/// The most delayed answers of an address; further guesses get a 429 at once, which costs less.
const HELD_BACK: u32 = 8;

/// The most addresses that are remembered.
const ADDRESSES: NonZero<usize> = NonZero::new(4096).expect("a number");

/// The most lines a minute in the log, whatever is sent.
const LINES: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

pub struct Guesses(Mutex<Known>);

struct Known {
    by_address: LruCache<IpAddr, Address>,
    /// The lines written since this instant.
    lines: (Instant, u32),
}

struct Address {
    wrong: u32,
    held_back: u32,
    last: Instant,
}

/// The answer to a wrong token.
pub enum Verdict<'a> {
    AtOnce,
    Late(HeldBack<'a>),
    /// Too many answers are delayed already.
    TooMany,
}

pub struct HeldBack<'a> {
    guesses: &'a Guesses,
    network: IpAddr,
}

impl HeldBack<'_> {
    pub async fn wait(self) {
        sleep(DELAY).await;
    }
}

/// The answer was sent, or its client is gone.
impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        let mut known = self.guesses.lock();
        if let Some(of_address) = known.by_address.peek_mut(&self.network) {
            of_address.held_back = of_address.held_back.saturating_sub(1);
        }
    }
}

impl Guesses {
    pub fn new(now: Instant) -> Guesses {
        Guesses(Mutex::new(Known {
            by_address: LruCache::new(ADDRESSES),
            lines: (now, 0),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a wrong token from this address.
    pub fn wrong(&self, address: IpAddr, now: Instant) -> Verdict<'_> {
        let network = peer::network(address);
        let mut known = self.lock();
        let fresh = || Address {
            wrong: 0,
            held_back: 0,
            last: now,
        };
        let of_address = known.by_address.get_or_insert_mut(network, fresh);
        if now.duration_since(of_address.last) > FORGOTTEN {
            of_address.wrong = 0;
        }
        of_address.last = now;
        of_address.wrong = of_address.wrong.saturating_add(1);
        let wrong = of_address.wrong;
        let verdict = match (wrong > FREE, of_address.held_back < HELD_BACK) {
            (false, _) => Verdict::AtOnce,
            (true, true) => {
                of_address.held_back += 1;
                Verdict::Late(HeldBack {
                    guesses: self,
                    network,
                })
            }
            (true, false) => Verdict::TooMany,
        };
        // The first that is delayed, and each power of ten.
        let is_news = wrong == FREE + 1 || (wrong > FREE && is_power_of_ten(wrong));
        if is_news && known.may_tell(now) {
            warn!(
                %address,
                wrong, "wrong tokens come from this address; answers to them are held back"
            );
        }
        drop(known);
        verdict
    }
}

impl Known {
    fn may_tell(&mut self, now: Instant) -> bool {
        if now.duration_since(self.lines.0) > MINUTE {
            self.lines = (now, 0);
        }
        self.lines.1 += 1;
        self.lines.1 <= LINES
    }
}

fn is_power_of_ten(number: u32) -> bool {
    let mut power = number;
    while power > 1 && power.is_multiple_of(10) {
        power /= 10;
    }
    power == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_at_once(guesses: &Guesses, address: IpAddr, now: Instant) -> bool {
        matches!(guesses.wrong(address, now), Verdict::AtOnce)
    }

    #[test]
    fn after_some_each_waits_and_so_many_at_a_time() {
        let now = Instant::now();
        let guesses = Guesses::new(now);
        for _ in 0..FREE {
            assert!(is_at_once(&guesses, HERE, now));
        }
        let mut waiting = Vec::new();
        for _ in 0..HELD_BACK {
            waiting.push(guesses.wrong(HERE, now));
        }
        assert!(waiting.iter().all(|one| matches!(one, Verdict::Late(_))));
        assert!(matches!(guesses.wrong(HERE, now), Verdict::TooMany));
        drop(waiting.pop());
        assert!(matches!(guesses.wrong(HERE, now), Verdict::Late(_)));
        assert!(is_at_once(&guesses, "192.0.2.1".parse().unwrap(), now));
        let later = now + FORGOTTEN + DELAY;
        assert!(is_at_once(&guesses, HERE, later));
    }

    #[test]
    fn no_more_addresses_are_remembered_and_no_more_lines_written_than_some() {
        let now = Instant::now();
        let guesses = Guesses::new(now);
        for number in 0..20_000_u32 {
            assert!(is_at_once(&guesses, IpAddr::V4(number.into()), now));
        }
        let mut known = guesses.lock();
        assert_eq!(known.by_address.len(), ADDRESSES.get());
        let told = (0..100).filter(|_| known.may_tell(now)).count();
        assert_eq!(told, LINES as usize);
        assert!(known.may_tell(now + 2 * MINUTE));
    }

    #[test]
    fn what_is_told_again_is_ten_times_as_much() {
        let told: Vec<u32> = (1..=100_000)
            .filter(|wrong| is_power_of_ten(*wrong))
            .collect();
        assert_eq!(told, [1, 10, 100, 1000, 10_000, 100_000]);
    }
}
