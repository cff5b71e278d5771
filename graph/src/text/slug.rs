//! Keys from names.

/// The longest slug, in characters.
pub const MOST_CHARACTERS: usize = 200;

/// `text` in lowercase, with a single dash for everything between letters and digits, without dashes at the ends, at most
/// [`MOST_CHARACTERS`] long.
///
/// Letters and digits of every script stay: Chinese and Japanese keep their characters (`知识 图谱` becomes `知识-图谱`),
/// Greek is lowercased, accents are not removed, marks that a script needs to be read (Devanagari vowel signs) stay. A text
/// without a letter or digit has the empty slug, which is no key.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    let mut count = 0;
    let mut gap = false;
    for character in text.chars().flat_map(char::to_lowercase) {
        if !character.is_alphanumeric() {
            gap = count > 0;
            continue;
        }
        if count + 1 + usize::from(gap) > MOST_CHARACTERS {
            break;
        }
        if gap {
            slug.push('-');
            count += 1;
            gap = false;
        }
        slug.push(character);
        count += 1;
    }
    slug
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Dead  Letters!", "dead-letters")]
    #[case("--RabbitMQ 3.10--", "rabbitmq-3-10")]
    #[case("Ünïcode Straße", "ünïcode-straße")]
    #[case("知识 图谱", "知识-图谱")]
    #[case("ΑΒΓ", "αβγ")]
    #[case("?!", "")]
    fn a_slug_is_readable_and_stable(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(slug(text), expected);
    }

    #[test]
    fn a_long_name_is_cut_and_never_ends_with_a_dash() {
        let text = "ab ".repeat(300);
        let slug = slug(&text);
        assert!(slug.chars().count() <= MOST_CHARACTERS && !slug.ends_with('-'));
    }

    proptest! {
        #[test]
        fn a_slug_is_its_own_slug(text in any::<String>()) {
            let once = slug(&text);
            prop_assert_eq!(slug(&once), once.clone());
            prop_assert!(!once.contains("--") && !once.starts_with('-') && !once.ends_with('-'));
            prop_assert!(once.chars().count() <= MOST_CHARACTERS);
        }
    }
}
