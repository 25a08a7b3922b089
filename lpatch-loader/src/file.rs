// SPDX-License-Identifier: GPL-2.0

//! Opens patch files. The only file that maps memory.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;

/// Maps a file for reading.
///
/// A pipe or an empty file is refused: neither can be mapped.
pub fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    // SAFETY: the mapping is private and read-only. If another process changes the file meanwhile, a
    // parse sees changed bytes, which it bears like any damaged file; one that truncates it ends this
    // process with SIGBUS, which closes the device file and so frees what was reserved.
    unsafe { Mmap::map(&file) }
}
