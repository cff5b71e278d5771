//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal and ends the process at the second, as the signal itself would.
///
/// # Errors
/// The handlers cannot be installed.
pub(crate) fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let _ = next(&mut interrupt, &mut terminate).await;
        stop.cancel();
        let number = next(&mut interrupt, &mut terminate).await;
        end_at_once(128 + number);
    });
    Ok(())
}

/// The number of the next signal.
async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever signals twice wants no drain; what was not committed comes again"
)]
fn end_at_once(code: i32) -> ! {
    std::process::exit(code)
}
