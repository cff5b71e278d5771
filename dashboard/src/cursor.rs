//! Pages: which one, and how to go on.
//!
//! A cursor holds the place where the page before it ended, and a sum over that place and over what was asked for. It is not a
//! secret: whoever makes one up sees nothing that he could not list. The sum finds what was cut off, mixed up with another
//! list, or used with other filters, which would skip rows without a word.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Items of a page that says nothing else.
pub(crate) const USUAL: u16 = 50;
/// Items of a page at most.
pub(crate) const MOST: u16 = 200;

/// Bytes of the sum in a cursor.
const SUM: usize = 8;

/// One page of a list, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// What is on it. It may be fewer than were asked for although more follow: only `next_cursor` tells.
    pub(crate) items: Vec<T>,
    /// What to give as `cursor` for the next page; null when this was the last.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of what is of another type.
    pub(crate) fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(make).collect(), next_cursor: self.next_cursor }
    }
}

/// How many items a page has.
///
/// # Errors
/// None, or too many.
pub(crate) fn limit(asked: Option<u16>) -> Result<u64, Problem> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(u64::from(limit)),
        _ => Err(Problem::bad_request("invalid_query", format!("give a limit from 1 to {MOST}")).at("limit")),
    }
}

/// A list, by its name and what it was narrowed to.
pub(crate) struct List(Vec<u8>);

impl List {
    /// `filters` is everything that was asked for but the cursor and the limit.
    pub(crate) fn new(name: &str, filters: &impl Serialize) -> Self {
        let filters = serde_json::to_string(filters).unwrap_or_default();
        Self(format!("{name}\0{filters}").into_bytes())
    }

    /// The cursor for what comes behind `place`.
    pub(crate) fn cursor(&self, place: &[u8]) -> String {
        let mut bytes = self.sum(place).to_vec();
        bytes.extend_from_slice(place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place in a cursor of this list.
    ///
    /// # Errors
    /// It is not one of this list with these filters.
    pub(crate) fn place(&self, cursor: &str) -> Result<Vec<u8>, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let (sum, place) = bytes.split_at_checked(SUM).ok_or_else(wrong)?;
        if sum == self.sum(place) { Ok(place.to_vec()) } else { Err(wrong()) }
    }

    /// The id in a cursor of this list.
    ///
    /// # Errors
    /// As [`List::place`].
    pub(crate) fn id(&self, cursor: Option<&str>) -> Result<Option<uuid::Uuid>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        uuid::Uuid::from_slice(&self.place(cursor)?).map(Some).map_err(|_| wrong())
    }

    /// Cuts rows, of which one more was asked for than `limit`, to a page.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>, limit: u64, place: impl Fn(&T) -> Vec<u8>) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| self.cursor(&place(last)));
        Page { items: rows, next_cursor }
    }

    fn sum(&self, place: &[u8]) -> [u8; SUM] {
        let mut hasher = blake3::Hasher::new_derive_key("ackord cursor of a list");
        hasher.update(&(self.0.len() as u64).to_le_bytes());
        hasher.update(&self.0);
        hasher.update(place);
        let mut sum = [0; SUM];
        hasher.finalize_xof().fill(&mut sum);
        sum
    }
}

pub(crate) fn wrong() -> Problem {
    Problem::bad_request(
        "invalid_cursor",
        "the cursor is not one of this list with these filters: begin again without one",
    )
    .at("cursor")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_cursor_leads_on_in_its_own_list_only() {
        let list = List::new("jobs", &Some("a"));
        let id = uuid::Uuid::now_v7();
        let cursor = list.cursor(id.as_bytes());
        assert_eq!(list.id(Some(&cursor)).unwrap(), Some(id));
        assert!(List::new("jobs", &Some("b")).id(Some(&cursor)).is_err());
        assert!(List::new("letters", &Some("a")).id(Some(&cursor)).is_err());
        for index in 0..cursor.len() {
            let mut other = cursor.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            assert!(list.id(Some(std::str::from_utf8(&other).unwrap())).is_err(), "{index}");
        }
        for cursor in ["", "x", "%", &cursor[..cursor.len() - 1]] {
            assert!(list.id(Some(cursor)).is_err(), "{cursor}");
        }
    }

    #[test]
    fn a_page_says_whether_more_follow() {
        let list = List::new("numbers", &());
        let page = list.page(vec![1_u8, 2, 3], 2, |number| vec![*number]);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(list.place(&page.next_cursor.unwrap()).unwrap(), [2]);
        assert!(list.page(vec![1_u8, 2], 2, |number| vec![*number]).next_cursor.is_none());
    }
}
