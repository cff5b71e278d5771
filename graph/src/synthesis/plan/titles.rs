//! What a part is called: a topic under which its facts are found again.

use std::collections::HashSet;

use crate::search::topic_terms;
use crate::synthesis::coverage;
use crate::synthesis::extractive::{is_plain_word, presentable};
use crate::synthesis::material::Fact;
use crate::text::terms_of;

/// Names behind the heaviest that may stand for the part as well.
const NEAR: usize = 3;

/// The topic of the part that is about `names`, the heaviest first. The graph speaks of it in `facts`, else its text could not be
/// written; `None` if no name is fit for a title.
pub(super) fn title(topic: &str, names: &[&str], facts: &[Fact]) -> Option<String> {
    let of_topic = topic_terms(topic);
    let fit: Vec<String> = names.iter().filter_map(|name| presentable(name, &of_topic)).collect();
    let first = fit.first()?;
    let mut candidates = Vec::new();
    // Two plain words side by side (`Code and main`) say less than a name that says something by itself.
    let telling = |name: &&String| !is_plain_word(name);
    if is_plain_word(first)
        && let Some(telling) = fit[1..].iter().take(NEAR).find(telling)
    {
        candidates.push(telling.clone());
    }
    let may_stand_second =
        |second: &&String| !are_alike(first, second) && (is_plain_word(first) || !is_plain_word(second));
    if !names_two(first)
        && let Some(second) = fit[1..].iter().find(|second| may_stand_second(second) && !names_two(second))
    {
        candidates.push(format!("{first} and {}", lowered(second)));
    }
    candidates.push(first.clone());
    candidates.into_iter().find(|title| coverage::of(&topic_terms(title), facts).enough)
}

/// `Return values and scope`: with a third it would be a list.
fn names_two(name: &str) -> bool {
    name.split_whitespace().any(|word| word == "and" || word == "or")
}

/// Whether one name says no more than the other.
pub(super) fn are_alike(one: &str, other: &str) -> bool {
    let (one, other): (HashSet<String>, HashSet<String>) =
        (terms_of(one).into_iter().collect(), terms_of(other).into_iter().collect());
    one.is_subset(&other) || other.is_subset(&one)
}

/// In the middle of a title: a word loses its capital, a name like `RabbitMQ` or `AMQP` keeps it.
fn lowered(name: &str) -> String {
    let mut characters = name.chars();
    let first_word = name.split_whitespace().next().unwrap_or_default();
    let is_word = first_word.chars().skip(1).all(char::is_lowercase) && first_word.chars().count() > 1;
    match characters.next() {
        Some(first) if is_word => first.to_lowercase().chain(characters).collect(),
        _ => name.to_owned(),
    }
}
