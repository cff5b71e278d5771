//! Search terms: how a text and a question about it meet.

use super::lexicon::Lexicon;
use super::words::words;

/// The search terms of `text`, each once, in the order of their first place: words in lowercase, cut to their English
/// stems, without words of grammar. Text without spaces between words gives pairs of neighbouring characters.
///
/// The import makes the index over facts with this function, so what is asked for must be made with it too
/// ([`ackord_entities::graph::fact::candidates`]).
///
/// ```
/// assert_eq!(ackord_graph::text::terms_of("The dead-letter queues of RabbitMQ"), ["dead", "letter", "queue", "rabbitmq"]);
/// assert_eq!(ackord_graph::text::terms_of("知识图谱"), ["知识", "识图", "图谱"]);
/// ```
#[must_use]
pub fn terms_of(text: &str) -> Vec<String> {
    let mut lexicon = Lexicon::new();
    let mut numbers = Vec::new();
    for word in words(text) {
        let number = lexicon.number(word.text);
        for term in lexicon.entry(number).terms() {
            if !numbers.contains(term) {
                numbers.push(*term);
            }
        }
    }
    numbers.into_iter().map(|number| lexicon.term(number).to_owned()).collect()
}
