//! Other processes of this program: servers, and clients that only hold connections.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::machine;

/// A process, killed when dropped.
pub struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts this program anew, with these arguments.
    pub fn start<const N: usize>(arguments: [&str; N]) -> io::Result<Helper> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Helper { child, output })
    }

    /// The next number that it prints.
    pub fn number(&mut self) -> io::Result<u64> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim().parse().map_err(io::Error::other)
    }

    /// What it has used so far.
    pub fn used(&self) -> machine::Used {
        machine::used(self.child.id())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
