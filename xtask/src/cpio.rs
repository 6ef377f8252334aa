//! Archives in the "newc" form of cpio, as the Linux kernel unpacks them into its first root
//! folder.
//!
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst

use std::io::{self, Write};

/// Writes entry by entry; [`finish`](Archive::finish) ends it.
pub(crate) struct Archive<W> {
    writer: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(writer: W) -> Archive<W> {
        Archive { writer, entries: 0 }
    }

    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, 0o040_755, &[])
    }

    pub(crate) fn program(&mut self, path: &str, contents: &[u8]) -> io::Result<()> {
        self.entry(path, 0o100_755, contents)
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.writer.flush()
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "4 GiB or more");
        let size = u32::try_from(contents.len()).map_err(too_long)?;
        let name_size = u32::try_from(path.len() + 1).map_err(too_long)?;
        // inode, mode, uid, gid, links, time, size, device (2), device of a node (2), name,
        // checksum
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        write!(self.writer, "070701")?;
        for field in fields {
            write!(self.writer, "{field:08X}")?;
        }
        self.writer.write_all(path.as_bytes())?;
        // The header is 110 bytes; name and contents end on multiples of four.
        self.writer
            .write_all(&[0; 4][..1 + padding(110 + path.len() + 1)])?;
        self.writer.write_all(contents)?;
        self.writer.write_all(&[0; 4][..padding(contents.len())])
    }
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_starts_on_a_multiple_of_four() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.folder("bin").unwrap();
        archive.program("bin/odd", b"12345").unwrap();
        archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let starts: Vec<usize> = bytes
            .windows(6)
            .enumerate()
            .filter(|(_, w)| w == b"070701")
            .map(|(i, _)| i)
            .collect();
        assert_eq!(starts.len(), 3);
        assert!(starts.iter().all(|start| start % 4 == 0), "{starts:?}");
    }
}
