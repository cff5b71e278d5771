//! Words and phrases by which sentences are judged.

use std::collections::HashSet;
use std::sync::LazyLock;

/// A list of words or phrases in lower case.
pub(super) struct List(LazyLock<HashSet<&'static str>>);

impl List {
    const fn new(make: fn() -> HashSet<&'static str>) -> Self {
        Self(LazyLock::new(make))
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $words:expr) => {
        $(#[$doc])*
        pub(super) static $name: List = List::new(|| $words.split(',').map(str::trim).collect());
    };
}

list!(
    /// The first words of sentences that lean on the one before.
    LEANING,
    "accordingly, additionally, afterwards, again, also, and, another, anyway, as a consequence, as a \
     result, as above, as before, as such, at that, at this, at which, because of that, because of this, \
     besides, both, but, by doing so, consequently, conversely, each of these, e.g, either way, else, \
     even so, even then, finally, first, firstly, for example, for instance, for that, for these, for \
     this, for those, from there, furthermore, he, hence, her, here, his, however, i.e, in addition, in \
     all other, in any case, in both, in contrast, in either, in fact, in general, in other words, in \
     particular, in short, in such, in that, in the latter, in these, in this, in those, in turn, \
     instead, it, it's, its, lastly, likewise, meanwhile, moreover, neither, nevertheless, next, none of, \
     nonetheless, nor, of these, of those, on the contrary, on the other, on this, only then, or, \
     otherwise, rather, same, second, secondly, she, similarly, since then, so, still, such, that, \
     that's, the above, the following, the former, the latter, the other, the same, their, then, \
     thereafter, therefore, these, they, third, this, those, though, thus, to do, to this, to that, under \
     this, what follows, which, whose, with that, with these, with this, yes, yet"
);
list!(
    /// A clause that begins with one of these and goes on with a pronoun leans on the sentence before as well.
    CLAUSES,
    "after, although, as, because, before, if, once, since, unless, until, when, whenever, while"
);
list!(
    /// Pronouns.
    PRONOUNS,
    "he, it, its, she, that, their, them, these, they, this, those, both"
);
list!(
    /// Words that point at another place on the page.
    POINTING,
    "above, aforementioned, as follows, as shown, below, following, in this chapter, in this document, in \
     this example, in this file, in this section, last section, listed here, next section, previous \
     section, see also, see section, shown here, table of contents, this chapter, this page, this \
     section, see the, see our, take a look, for more details, for more information, refer to, check out, \
     pull request, pull requests, an issue, issue tracker, stay tuned, let me know, let us know"
);
list!(
    /// Words at the beginning of an order.
    ORDERS,
    "add, avoid, call, check, choose, click, consider, copy, create, do, don't, ensure, give, install, \
     keep, let, look, make, never, open, please, put, read, remember, run, set, start, take, try, use"
);
list!(
    /// Words that make a whole sentence wherever they stand.
    AUXILIARIES,
    "am, are, aren't, can, can't, cannot, could, couldn't, did, didn't, do, does, doesn't, don't, had, \
     has, hasn't, have, haven't, is, isn't, may, might, must, shall, should, shouldn't, was, wasn't, \
     were, weren't, will, won't, would, wouldn't"
);
list!(
    /// Verbs of technical prose, in their base form.
    VERBS,
    "accept, act, add, aim, allow, answer, appear, apply, ask, avoid, become, begin, believe, belong, \
     block, break, bring, build, call, cause, change, check, choose, claim, clear, close, collect, \
     combine, come, commit, compare, compile, connect, consist, consume, contain, continue, control, \
     convert, copy, cost, count, cover, crash, create, cut, decide, define, delete, deliver, depend, \
     describe, determine, die, differ, drop, enable, end, ensure, enter, exist, expand, expect, expire, \
     explain, expose, express, fail, fall, fetch, fill, find, follow, force, form, free, generate, get, \
     give, go, grow, guarantee, handle, happen, help, hide, hold, ignore, implement, imply, improve, \
     include, insert, keep, know, lack, lead, leave, let, lie, limit, listen, live, load, lock, look, \
     lose, make, manage, map, match, matter, mean, measure, meet, move, name, need, notice, occur, offer, \
     open, pass, pay, perform, persist, pick, point, prefer, prevent, produce, promise, prove, provide, \
     publish, put, raise, reach, read, receive, record, reduce, refuse, reject, rely, remain, remove, \
     renew, repeat, replace, represent, require, resolve, rest, restore, return, roll, run, satisfy, \
     save, say, search, see, seem, send, separate, serve, set, show, sit, sort, specify, split, stand, \
     start, state, stay, stop, store, succeed, suffer, suit, supply, support, survive, take, tell, tend, \
     track, treat, try, turn, understand, use, verify, wait, wake, want, work, wrap, write"
);
list!(
    /// What stands before a noun, so that the word behind it is no verb.
    BEFORE_NOUNS,
    "a, all, an, and, any, by, each, every, for, from, in, into, its, many, more, no, of, on, or, other, \
     our, per, several, some, such, than, the, their, these, those, to, two, various, with, your"
);
list!(
    /// The first words of an adverbial, behind which a pronoun leans on the sentence before.
    PREPOSITIONS,
    "at, by, for, from, in, on, to, under, until, with, within, without, internally, currently"
);
