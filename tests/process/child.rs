//! A child process: what it writes, line by line, and how it comes to its end.
//!
//! Nothing here sleeps: a line, or the end of a pipe, is awaited with a deadline.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Far more than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running child; it does not outlive this value, and a test that fails shows its log.
pub struct Running {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
}

/// What a child left behind.
#[derive(Debug)]
pub struct Ended {
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// One of a child's outputs, read by a thread so that the child never waits for its reader.
struct Pipe {
    lines: Receiver<String>,
    read: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Pipe::follow(child.stdout.take().unwrap());
        let stderr = Pipe::follow(child.stderr.take().unwrap());
        Running {
            child,
            stdout,
            stderr,
        }
    }

    /// The next line of the log that contains `part`.
    pub fn logs(&mut self, part: &str) -> String {
        self.stderr.find(part)
    }

    /// The next line of standard output that contains `part`.
    pub fn prints(&mut self, part: &str) -> String {
        self.stdout.find(part)
    }

    /// All of standard output that was awaited so far.
    pub fn printed(&self) -> &str {
        &self.stdout.read
    }

    pub fn interrupt(&self) {
        self.signal("INT");
    }

    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// The system's number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits until it has ended by itself.
    pub fn end(mut self) -> Ended {
        // Once both pipes are closed the process is ending, and waiting for it takes no time.
        let (stdout, stderr) = (self.stdout.rest(), self.stderr.rest());
        Ended {
            code: self.child.wait().unwrap().code(),
            stdout,
            stderr,
        }
    }

    /// The shell's own `kill`, since the standard library sends SIGKILL alone.
    fn signal(&self, name: &str) {
        let script = format!("kill -s {name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(sent.success(), "{script}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.stderr.read.extend(self.stderr.lines.iter());
            #[expect(
                clippy::disallowed_macros,
                reason = "a test that fails shows the log of its child"
            )]
            {
                eprintln!("--- the child's log ---\n{}", self.stderr.read);
            }
        }
    }
}

impl Pipe {
    fn follow(stream: impl Read + Send + 'static) -> Pipe {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                // Whether anybody still listens or not, the child must not block on a full pipe.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                line.clear();
            }
        });
        Pipe {
            lines,
            read: String::new(),
        }
    }

    /// The next line, with its end; none at the end of the output.
    fn next(&mut self, deadline: Instant) -> Option<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.read.push_str(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no more in time than:\n{}", self.read),
        }
    }

    fn find(&mut self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.next(deadline) {
                Some(line) if line.contains(part) => return line,
                Some(_) => {}
                None => panic!("it ended without {part:?}:\n{}", self.read),
            }
        }
    }

    fn rest(&mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        while self.next(deadline).is_some() {}
        std::mem::take(&mut self.read)
    }
}
