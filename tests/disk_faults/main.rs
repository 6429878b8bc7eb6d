//! Every operation on the replica's files fails once, and once more from there on: the file stays
//! whole, and the replica becomes equal to the upstream.

#![expect(clippy::expect_used, reason = "a test may fail where it stands")]
#![expect(
    clippy::print_stdout,
    reason = "how much was tried is shown with a test"
)]

#[path = "../support/engine_harness.rs"]
#[expect(
    dead_code,
    reason = "the stage of the engine's tests, of which not all is needed"
)]
mod engine_harness;
#[path = "../support/folder.rs"]
mod folder;
mod scene;
mod vfs;

use scene::{Course, Scene};
use vfs::Failure;

/// To try one operation takes a fifth of a second, so that only some are; `FAILURES=all` tries all.
fn step(usual: usize) -> usize {
    let all = std::env::var("FAILURES").is_ok_and(|wanted| wanted == "all");
    if all { 1 } else { usual }
}

async fn each(scene: Scene, course: Course, failure: Failure, step: usize) {
    for (tried, left) in (0..).step_by(step).enumerate() {
        if !scene::run(scene, course, failure, left).await {
            println!("{scene:?}, {course:?}, {failure:?}: {tried} of {left} operations failed");
            assert!(tried > 3, "hardly any operation was there to fail");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_survives_a_full_disk_at_any_operation() {
    each(Scene::Fill, Course::Once, Failure::Full, step(13)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_survives_a_broken_disk_at_any_operation() {
    each(Scene::Fill, Course::Once, Failure::Io, step(13)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_is_killed_at_any_operation_goes_on() {
    each(Scene::Fill, Course::Killed, Failure::Full, step(19)).await;
    each(Scene::Fill, Course::Killed, Failure::Io, step(19)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_survives_a_disk_that_is_full_or_broken_for_a_while() {
    each(Scene::Fill, Course::AWhile, Failure::Full, step(37)).await;
    each(Scene::Fill, Course::AWhile, Failure::Io, step(37)).await;
}

#[tokio::test(start_paused = true)]
async fn a_comparison_survives_a_full_disk_at_any_operation() {
    each(Scene::Compare, Course::Once, Failure::Full, step(9)).await;
}

#[tokio::test(start_paused = true)]
async fn a_comparison_survives_a_broken_disk_at_any_operation() {
    each(Scene::Compare, Course::Once, Failure::Io, step(9)).await;
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_is_killed_at_any_operation_goes_on() {
    each(Scene::Compare, Course::Killed, Failure::Full, step(13)).await;
    each(Scene::Compare, Course::Killed, Failure::Io, step(13)).await;
}

#[tokio::test(start_paused = true)]
async fn a_comparison_survives_a_disk_that_is_full_or_broken_for_a_while() {
    each(Scene::Compare, Course::AWhile, Failure::Full, step(29)).await;
    each(Scene::Compare, Course::AWhile, Failure::Io, step(29)).await;
}
