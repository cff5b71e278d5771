//! Addresses of files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Which addresses a document may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// Any: whoever imports reads the disk himself.
    All,
    /// None of a file: the document was sent by somebody, and what stands under the address of a file is what was read from it.
    NoFiles,
}

impl Addresses {
    /// Whether `uri` may be named.
    pub(super) fn allow(self, uri: &str) -> bool {
        self == Self::All || !is_of_file(uri)
    }
}

/// Whether `uri` is the address of a file, however it is written: schemes have no case.
fn is_of_file(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.trim().eq_ignore_ascii_case("file"))
}

/// The URI of a file: `file://` and its absolute path, with everything percent-encoded but letters, digits, `-._~` and `/`.
#[must_use]
pub fn file_uri(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut uri = String::with_capacity(bytes.len() + 7);
    uri.push_str("file://");
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// The path that [`file_uri`] made `uri` of. `None` when it is no such URI, or the path is not UTF-8.
pub(super) fn path_of(uri: &str) -> Option<PathBuf> {
    let encoded = uri.strip_prefix("file://")?.as_bytes();
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(&byte) = encoded.get(at) {
        if byte == b'%' {
            let digits = std::str::from_utf8(encoded.get(at + 1..at + 3)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            bytes.push(byte);
            at += 1;
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_back_from_its_uri() {
        let path = Path::new("/tmp/a b/ü%20#?.md");
        assert_eq!(file_uri(path), "file:///tmp/a%20b/%C3%BC%2520%23%3F.md");
        assert_eq!(path_of(&file_uri(path)).as_deref(), Some(path));
        assert_eq!(path_of("https://example.org"), None);
    }

    #[test]
    fn the_address_of_a_file_is_known_however_it_is_written() {
        for uri in ["file:///etc/passwd", "FILE:/x", "File:x", " file :x"] {
            assert!(!Addresses::NoFiles.allow(uri) && Addresses::All.allow(uri), "{uri}");
        }
        for uri in ["https://example.org/file:x", "upload:file", "notes.md", "files:x", "urn:file:x"] {
            assert!(Addresses::NoFiles.allow(uri), "{uri}");
        }
    }
}
