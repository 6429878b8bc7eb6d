//! A page of another edge's feed.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use tokio::time::Instant;
use tracing::info;

use crate::model::{CoverageRange, Timestamp, Verified};
use crate::store::{Complete, FeedPage, FeedPosition, Merged, StoreError, Trust};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::INSTANT;
use crate::sync::engine::apply::bad_answer;
use crate::sync::knowledge::coverage::{Coverage, NEVER};
use crate::sync::knowledge::coverage_summary;
use crate::sync::planners::feed::{FeedCursor, FullPass, UpstreamKind};
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource, Feed, Request, Told};

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn apply_feed(
        &mut self,
        request: &Request,
        stamp: Verified,
        begun: Instant,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let (feed, after) = match (answer, request) {
            (Answer::Feed(feed), Request::Changes { after, .. }) => (*feed, *after),
            (Answer::NoFeed, _) => {
                // If it was an edge before, everything is read again, as from a Burki.
                self.planners.identity.is_known &=
                    matches!(self.planners.feed, UpstreamKind::Burki);
                self.planners.feed = UpstreamKind::Burki;
                return Ok(());
            }
            _ => return Err(bad_answer("an answer to another question")),
        };
        self.apply_identity(stamp, feed.organization_id).await?;
        if !self.planners.identity.is_known {
            return Ok(());
        }
        self.follow_feed(&feed, after);
        let Some(edge) = self.planners.feed.edge().filter(|edge| edge.place == after) else {
            // The answer is of another file than the request: that file's feed is read next.
            self.planners.head.read_at = None;
            return Ok(());
        };
        let (more, ends) = (feed.more, !feed.more && feed.complete);
        edge.bound = feed.freshness_bound;
        edge.limit = (edge.limit * 2).min(self.settings.page_limit);
        let (news, coverage) = self.news(feed, stamp);
        let place = news.followed.place;
        if self.commit_news(news, coverage).await.is_none() {
            return Ok(());
        }
        if let Some(edge) = self.planners.feed.edge() {
            edge.place = place;
            if ends && let Some(sweep) = edge.sweep.take() {
                edge.swept_from = Some(sweep.begun);
            }
        }
        self.planners.head.was_read = true;
        self.planners.head.read_at = (!more).then_some(begun);
        self.judge();
        Ok(())
    }

    /// Sets the cursor to this file's feed, where the last process stopped if it read the same one.
    fn follow_feed(&mut self, feed: &Feed, after: u64) {
        let before = match &mut self.planners.feed {
            UpstreamKind::Edge(edge) if edge.feed_id == feed.feed_id => return,
            UpstreamKind::Unknown { followed, .. } => followed.take(),
            UpstreamKind::Burki | UpstreamKind::Edge(_) => None,
        };
        let same = before.is_some_and(|followed| followed.feed_id == feed.feed_id);
        let place = if same { after } else { 0 };
        info!(place, "the upstream is an edge; its changes are followed");
        self.planners.feed = UpstreamKind::Edge(FeedCursor::new(
            feed.feed_id.clone(),
            place,
            self.settings.page_limit,
            self.row_counts.calls > 0,
            self.now().wall,
        ));
    }

    fn news(&mut self, feed: Feed, stamp: Verified) -> (FeedPage, Option<Coverage>) {
        let (mut calls, mut gone, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let sweep = self
            .planners
            .feed
            .edge()
            .and_then(|edge| edge.sweep.as_mut());
        let mut listed = sweep.map(|sweep: &mut FullPass| &mut sweep.listed);
        // Of several items about one call the last one counts.
        for item in feed.items.into_iter().rev() {
            let at = stamp.at - item.age;
            match item.told {
                Told::Call(call) if seen.insert(call.id) => {
                    if let Some(listed) = &mut listed {
                        listed.insert(call.id);
                    }
                    calls.push((*call, at));
                }
                Told::Gone(id) if seen.insert(id) => {
                    if let Some(listed) = &mut listed {
                        listed.remove(&id);
                    }
                    gone.push((id, at));
                }
                Told::Call(_) | Told::Gone(_) => {}
            }
        }
        // Before a full pass ends, it is unknown which calls the other edge lacks: its coverage has
        // to wait.
        let whole = listed.is_none() || (!feed.more && feed.complete);
        let passed = match listed.filter(|_| whole) {
            Some(listed) => passed(&feed.coverage, listed),
            None => Vec::new(),
        };
        let coverage = (whole && !feed.more).then(|| {
            let mut coverage = (*self.coverage).clone();
            coverage.take_over(&feed.coverage, stamp);
            coverage
        });
        let news = FeedPage {
            request: stamp,
            oldest_in_flight: self.in_flight.oldest_seq(stamp),
            newest_seq: self.in_flight.newest_seq(),
            calls,
            gone,
            passed,
            followed: FeedPosition {
                feed_id: feed.feed_id,
                place: feed.next,
                whole,
            },
            windows: coverage
                .as_ref()
                .map(|coverage| coverage.windows().to_vec()),
        };
        (news, coverage)
    }

    async fn commit_news(&mut self, news: FeedPage, coverage: Option<Coverage>) -> Option<Merged> {
        let written = self.writer.run(|writer| {
            let merged = writer.follow(news)?;
            Ok::<_, StoreError>((merged, writer.row_counts(), writer.details_counts()))
        });
        match written.await {
            Ok((merged, row_counts, books)) => {
                self.stored();
                self.row_counts = row_counts;
                self.planners.details.calls_written(&merged, books);
                if let Some(coverage) = coverage {
                    self.publish_coverage(coverage);
                }
                Some(merged)
            }
            Err(error) => {
                self.store_failed(&error);
                None
            }
        }
    }
}

/// What a full pass proves: within the other edge's coverage there are these calls and no others.
fn passed(coverage: &[CoverageRange], listed: &HashSet<i64>) -> Vec<Complete> {
    let mut stretches: Vec<RangeInclusive<Timestamp>> = Vec::new();
    let mut without_start = false;
    for piece in coverage {
        let range = coverage_summary::range(piece);
        if *range.start() == NEVER {
            without_start = true;
            continue;
        }
        let end = match piece.open_ended {
            true => Timestamp::MAX,
            false => *range.end(),
        };
        match stretches.last_mut() {
            Some(last) if *last.end() + INSTANT == *range.start() => *last = *last.start()..=end,
            _ => stretches.push(*range.start()..=end),
        }
    }
    let complete = |started, without_start| Complete {
        started,
        without_start,
        listed: listed.clone(),
        belief: Trust::Whole,
    };
    let dated = stretches
        .into_iter()
        .map(|stretch| complete(Some(stretch), false));
    let undated = without_start.then(|| complete(None, true));
    undated.into_iter().chain(dated).collect()
}
