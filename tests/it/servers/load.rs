//! Work that goes on while something is done to a server.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::process::{Audit, MIXED, Testbed, Up};

/// How often one trouble is published into.
const AT_A_TIME: usize = 10;

/// Two processes at work, and what was published so far.
pub(super) struct Load {
    pub(super) testbed: Testbed,
    pair: [Up; 2],
    published: usize,
    long_ones: usize,
}

impl Load {
    /// Both run, and have done some work.
    pub(super) async fn started(testbed: Testbed) -> Self {
        Self::started_with(testbed, &[]).await
    }

    /// The same with arguments for the processes.
    pub(super) async fn started_with(testbed: Testbed, arguments: &[&str]) -> Self {
        let mut pair = [testbed.up(arguments, None), testbed.up(arguments, None)];
        for up in &mut pair {
            up.ready().await;
        }
        let mut load = Self { testbed, pair, published: 0, long_ones: 0 };
        load.publish().await;
        load.testbed.until("work has begun", |audit| audit.effects() > 0).await;
        load
    }

    /// Publishes some of every kind.
    pub(super) async fn publish(&mut self) {
        self.testbed.publish_with(&["--milliseconds", "20"], MIXED).await;
        self.published += 1;
    }

    /// Somebody is at work when this returns, for longer than a look takes: a worker with nothing to commit has nothing to say of a
    /// database that is gone.
    pub(super) async fn long_ones_run(&mut self) {
        self.testbed.publish_with(&["--milliseconds", "5000"], &[("long", 2)]).await;
        self.long_ones += 2;
        self.testbed.until("long ones run", |audit| audit.leases > 0).await;
    }

    /// Publishes while there is `trouble`: some of it, since what a slow machine publishes while it waits it has to work off.
    pub(super) async fn during<T>(&mut self, trouble: impl Future<Output = T>) -> T {
        let over = AtomicBool::new(false);
        let trouble = async {
            let answer = trouble.await;
            over.store(true, Ordering::Relaxed);
            answer
        };
        let publishing = async {
            for _ in 0..AT_A_TIME {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                self.publish().await;
            }
        };
        tokio::join!(trouble, publishing).0
    }

    /// Whether both processes still run: nothing that happens to a server ends them.
    fn assert_alive(&mut self) {
        for up in &mut self.pair {
            assert!(up.has_ended().is_none(), "a process ended\n{}", self.testbed.log());
        }
    }

    /// Work that is published now is done; all that was published before is, too, and once.
    pub(super) async fn ends_well(self) -> Audit {
        self.ends_well_with(&[]).await
    }

    /// The same with jobs that the test has published itself.
    pub(super) async fn ends_well_with(mut self, also: &[(&str, usize)]) -> Audit {
        self.assert_alive();
        self.publish().await;
        let ended = Audit::is_at_rest;
        let audit = self.testbed.until_within(3, "every job ends without help", ended).await;
        let mut jobs = [&MIXED.repeat(self.published), also].concat();
        jobs.push(("long", self.long_ones));
        self.testbed.assert_clean(&audit, &jobs);
        self.assert_alive();
        for up in self.pair {
            up.signal(Signal::TERM);
            up.ends_well().await;
        }
        audit
    }
}
