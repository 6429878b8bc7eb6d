//! Where the replicas of tests in virtual time are.

use std::path::Path;

use tempfile::TempDir;

/// A folder in memory, on machines that have one with room: a commit waits for its disk, here
/// thousands of times a minute. What disks do to SQLite, a VFS plays in `tests/disk_faults`.
pub fn folder() -> TempDir {
    const ROOM: u64 = 1 << 30;
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |shm| shm.f_bavail * shm.f_frsize);
    let in_memory = (room > ROOM).then(|| TempDir::new_in(memory));
    match in_memory {
        Some(Ok(folder)) => folder,
        _ => TempDir::new().expect("a folder"),
    }
}
