//! A disk that fails on order: a shim around SQLite's default VFS, which is the default itself from
//! then on, so that the store opens its files through it and knows nothing of it.
//!
//! Files are SQLite's own, with four of their methods replaced. What is to fail is kept by folder:
//! tests that run side by side don't meet. Locks and shared memory are passed through.

#![expect(unsafe_code, reason = "a VFS is SQLite's, in C")]

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is full: the first half of what is written is still there, the rest is not.
    Full,
    /// It is broken: also what reads and deletes fails.
    Io,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
}

/// The disk under one folder. It works again when this value goes.
pub struct Disk(Arc<Folder>);

struct Folder {
    path: PathBuf,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    order: Option<Order>,
    failed: u64,
}

struct Order {
    failure: Failure,
    /// Operations that still succeed.
    left: u64,
    /// Operations that fail then.
    times: u64,
}

/// An open file of a folder that is watched.
#[derive(Clone)]
struct Open {
    inner: &'static ffi::sqlite3_io_methods,
    folder: Arc<Folder>,
    reads_count: bool,
}

static INNER: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(std::ptr::null_mut());
static FOLDERS: Mutex<Vec<Arc<Folder>>> = Mutex::new(Vec::new());
/// By the address of the file.
static FILES: Mutex<Option<HashMap<usize, Open>>> = Mutex::new(None);
/// The tables with the replaced methods, by the address of the table they were made from.
static METHODS: Mutex<Option<HashMap<usize, &'static ffi::sqlite3_io_methods>>> = Mutex::new(None);

impl Disk {
    pub fn under(folder: &Path) -> Disk {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(register);
        let path = folder.canonicalize().expect("a folder");
        let plan = Mutex::default();
        let folder = Arc::new(Folder { path, plan });
        locked(&FOLDERS).push(Arc::clone(&folder));
        Disk(folder)
    }

    /// After `left` more operations, `times` fail.
    pub fn fail(&self, failure: Failure, left: u64, times: u64) {
        *locked(&self.0.plan) = Plan {
            order: Some(Order {
                failure,
                left,
                times,
            }),
            failed: 0,
        };
    }

    pub fn heal(&self) {
        locked(&self.0.plan).order = None;
    }

    /// How many operations failed.
    pub fn failed(&self) -> u64 {
        locked(&self.0.plan).failed
    }

    /// Looks at the files without an operation that counts or fails.
    pub fn aside<T>(&self, look: impl FnOnce() -> T) -> T {
        let order = locked(&self.0.plan).order.take();
        let seen = look();
        locked(&self.0.plan).order = order;
        seen
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.heal();
        locked(&FOLDERS).retain(|folder| !Arc::ptr_eq(folder, &self.0));
    }
}

impl Folder {
    /// Counts an operation, and says how it fails if it is to.
    fn fails(&self, operation: Operation) -> Option<(Failure, c_int)> {
        let mut plan = locked(&self.plan);
        let order = plan.order.as_mut()?;
        let harmless = matches!(operation, Operation::Read | Operation::Delete);
        if order.failure == Failure::Full && harmless {
            return None;
        }
        if order.left > 0 {
            order.left -= 1;
            return None;
        }
        order.times = order.times.checked_sub(1)?;
        let failure = order.failure;
        plan.failed += 1;
        let code = match (failure, operation) {
            (_, Operation::Open) => ffi::SQLITE_CANTOPEN,
            (Failure::Full, _) => ffi::SQLITE_FULL,
            (Failure::Io, Operation::Read) => ffi::SQLITE_IOERR_READ,
            (Failure::Io, Operation::Write) => ffi::SQLITE_IOERR_WRITE,
            (Failure::Io, Operation::Truncate) => ffi::SQLITE_IOERR_TRUNCATE,
            (Failure::Io, Operation::Sync) => ffi::SQLITE_IOERR_FSYNC,
            (Failure::Io, Operation::Delete) => ffi::SQLITE_IOERR_DELETE,
        };
        Some((failure, code))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register() {
    // SAFETY: SQLite's default VFS is a static of its own, never changed and never taken away. The
    // copy lives for ever; SQLite alone links it into its list, under a lock of its own.
    let code = unsafe {
        let inner = ffi::sqlite3_vfs_find(std::ptr::null());
        INNER.store(inner, Ordering::Release);
        let shim = Box::leak(Box::new(*inner));
        shim.zName = c"failing".as_ptr();
        shim.pNext = std::ptr::null_mut();
        shim.xOpen = Some(open);
        shim.xDelete = Some(delete);
        ffi::sqlite3_vfs_register(shim, 1)
    };
    assert_eq!(code, ffi::SQLITE_OK);
}

/// The folder that is watched and holds the file.
///
/// # Safety
/// `name` is null or a C string.
unsafe fn folder_of(name: *const c_char) -> Option<Arc<Folder>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    let folders = locked(&FOLDERS);
    let folder = folders.iter().find(|folder| path.starts_with(&folder.path));
    folder.cloned()
}

fn inner() -> *mut ffi::sqlite3_vfs {
    INNER.load(Ordering::Acquire)
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite names a file by a C string, or none.
    let folder = unsafe { folder_of(name) };
    if flags & ffi::SQLITE_OPEN_CREATE != 0
        && let Some((_, code)) = folder.as_ref().and_then(|f| f.fails(Operation::Open))
    {
        // SAFETY: SQLite hands over room for a file; without methods it counts as not open.
        unsafe { (*file).pMethods = std::ptr::null() };
        return code;
    }
    let inner = inner();
    // SAFETY: the arguments are SQLite's own, and go to the VFS whose size of files the shim has.
    let code = unsafe {
        match (*inner).xOpen {
            Some(open) => open(inner, name, file, flags, out_flags),
            None => ffi::SQLITE_CANTOPEN,
        }
    };
    // SAFETY: after an open the methods are null or one of the VFS's static tables.
    let methods = unsafe { (*file).pMethods.as_ref::<'static>() };
    if let (ffi::SQLITE_OK, Some(folder), Some(methods)) = (code, folder, methods) {
        let main = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_READWRITE;
        let opened = Open {
            inner: methods,
            folder,
            reads_count: flags & main == main,
        };
        locked(&FILES)
            .get_or_insert_default()
            .insert(file.addr(), opened);
        // SAFETY: the file is open, and SQLite does not use it before this returns.
        unsafe { (*file).pMethods = replaced(methods) };
    }
    code
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: SQLite names a file by a C string.
    let folder = unsafe { folder_of(name) };
    if let Some((_, code)) = folder.and_then(|folder| folder.fails(Operation::Delete)) {
        return code;
    }
    let inner = inner();
    // SAFETY: the arguments are SQLite's own.
    unsafe {
        match (*inner).xDelete {
            Some(delete) => delete(inner, name, sync_folder),
            None => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

/// The same methods, but for those that fail on order.
fn replaced(methods: &'static ffi::sqlite3_io_methods) -> &'static ffi::sqlite3_io_methods {
    let mut tables = locked(&METHODS);
    let address = std::ptr::from_ref(methods).addr();
    tables
        .get_or_insert_default()
        .entry(address)
        .or_insert_with(|| {
            Box::leak(Box::new(ffi::sqlite3_io_methods {
                xClose: Some(close),
                xRead: Some(read),
                xWrite: Some(write),
                xTruncate: Some(truncate),
                xSync: Some(sync),
                ..*methods
            }))
        })
}

fn opened(file: *mut ffi::sqlite3_file) -> Option<Open> {
    locked(&FILES).as_ref()?.get(&file.addr()).cloned()
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let opened = locked(&FILES)
        .as_mut()
        .and_then(|files| files.remove(&file.addr()));
    let Some(Open { inner, .. }) = opened else {
        return ffi::SQLITE_MISUSE;
    };
    // SAFETY: the file is open, and is given back its own methods before it is closed by them.
    unsafe {
        (*file).pMethods = inner;
        inner
            .xClose
            .map_or(ffi::SQLITE_IOERR_CLOSE, |close| close(file))
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    let Some(open) = opened(file) else {
        return ffi::SQLITE_MISUSE;
    };
    let fails = open
        .reads_count
        .then(|| open.folder.fails(Operation::Read))
        .flatten();
    match (fails, open.inner.xRead) {
        // SAFETY: the arguments are SQLite's own, and the file is one of that table.
        (None, Some(read)) => unsafe { read(file, to, bytes, offset) },
        (fails, _) => fails.map_or(ffi::SQLITE_IOERR_READ, |(_, code)| code),
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    let Some(open) = opened(file) else {
        return ffi::SQLITE_MISUSE;
    };
    let Some(write) = open.inner.xWrite else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    let fails = open.folder.fails(Operation::Write);
    let room = match fails {
        None => bytes,
        Some((Failure::Full, _)) => bytes / 2,
        Some((Failure::Io, _)) => 0,
    };
    // SAFETY: the arguments are SQLite's own, or less of them, and the file is one of that table.
    let code = unsafe { write(file, from, room, offset) };
    fails.map_or(code, |(_, code)| code)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, bytes: i64) -> c_int {
    let Some(open) = opened(file) else {
        return ffi::SQLITE_MISUSE;
    };
    match (open.folder.fails(Operation::Truncate), open.inner.xTruncate) {
        // SAFETY: as above.
        (None, Some(truncate)) => unsafe { truncate(file, bytes) },
        (fails, _) => fails.map_or(ffi::SQLITE_IOERR_TRUNCATE, |(_, code)| code),
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let Some(open) = opened(file) else {
        return ffi::SQLITE_MISUSE;
    };
    match (open.folder.fails(Operation::Sync), open.inner.xSync) {
        // SAFETY: as above.
        (None, Some(sync)) => unsafe { sync(file, flags) },
        (fails, _) => fails.map_or(ffi::SQLITE_IOERR_FSYNC, |(_, code)| code),
    }
}
