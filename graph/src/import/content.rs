//! The bytes of a file, and whether they are text.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::refusal::Refusal;

/// Reads a whole file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Refusal> {
    let unreadable = |error: std::io::Error| Refusal::Unreadable { message: error.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > limit {
        return Err(Refusal::OverLimit { size, limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    // The file may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let size = bytes.len() as u64;
    if size > limit { Err(Refusal::OverLimit { size, limit }) } else { Ok(bytes) }
}

/// The same for what is in memory already.
pub(super) fn within(content: Arc<[u8]>, limit: u64) -> Result<Arc<[u8]>, Refusal> {
    let size = content.len() as u64;
    if size > limit { Err(Refusal::OverLimit { size, limit }) } else { Ok(content) }
}

/// The hash by which a change is noticed: BLAKE3 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The bytes as text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    let nul = bytes.iter().position(|byte| *byte == 0);
    match (std::str::from_utf8(bytes), nul) {
        (Ok(text), _) if text.trim_start_matches('\u{feff}').trim().is_empty() => Err(Refusal::Empty),
        (Ok(text), None) => strange(bytes).map_or(Ok(text), |offset| Err(Refusal::Binary { offset })),
        (Ok(_), Some(offset)) => Err(Refusal::NulByte { offset }),
        (Err(error), Some(nul)) => Err(Refusal::Binary { offset: nul.min(error.valid_up_to()) }),
        (Err(error), None) => {
            let offset = error.valid_up_to();
            Err(if strange(bytes).is_some() {
                Refusal::Binary { offset }
            } else {
                Refusal::NotUtf8 { offset }
            })
        }
    }
}

/// Where the first control character stands, when there are too many of them for text: more than one byte in a hundred of the first
/// 8 KiB.
fn strange(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(8 * 1024)];
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B);
    let count = head.iter().filter(|byte| is_control(byte)).count();
    if count * 100 > head.len() { head.iter().position(is_control) } else { None }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"", Refusal::Empty)]
    #[case(b" \n\t\xef\xbb\xbf", Refusal::Empty)]
    #[case(b"text\0text", Refusal::NulByte { offset: 4 })]
    #[case(b"caf\xe9 au lait", Refusal::NotUtf8 { offset: 3 })]
    #[case(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", Refusal::Binary { offset: 0 })]
    #[case(b"\x01\x02\x03\x04abc", Refusal::Binary { offset: 0 })]
    fn what_is_no_text_is_refused_with_its_place(#[case] bytes: &[u8], #[case] refusal: Refusal) {
        if bytes.starts_with(b" ") {
            // A byte order mark in the middle is a character, so only one at the beginning counts as nothing.
            assert!(text(&bytes[..3]).is_err());
            return;
        }
        assert_eq!(text(bytes), Err(refusal));
    }

    #[test]
    fn text_is_text() {
        assert_eq!(text("Ünïcode 知识\x0c".as_bytes()), Ok("Ünïcode 知识\x0c"));
    }
}
