//! Named points at which a test lets the process die, as by `kill -9` or a power cut.
//!
//! Compiled in with the feature `fault-points` only. `FAILPOINTS="relay_after_confirm=return"` lets the process die there the first time;
//! `=2*off->return` the third time; the syntax is that of the crate `fail`. A point that jobs of every kind pass can be named for one of
//! them: `FAILPOINTS="before_commit@recombination=return"`.

/// Dies here if a test switched the point on.
#[inline]
pub fn point(name: &str) {
    let _ = name;
    fail::fail_point!(name, |_| die());
}

/// Dies here if a test switched the point on, for all kinds or for `kind`.
#[inline]
pub fn point_of(name: &str, kind: &str) {
    let _ = kind;
    point(name);
    fail::fail_point!(&format!("{name}@{kind}"), |_| die());
}

/// Reads `FAILPOINTS`; the points are live until the answer is dropped.
#[cfg(feature = "fault-points")]
#[must_use]
pub fn arm() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

#[cfg(feature = "fault-points")]
fn die() {
    let me = rustix::process::getpid();
    // Nothing after this line runs: the signal cannot be caught.
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
}
