//! What the signals of the system ask for.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: load the configuration again and reopen the log files.
    Reload,
    /// SIGUSR2: start the binary anew and hand the listeners over to it.
    Upgrade,
    /// The first SIGTERM or SIGINT: take no more connections, finish what runs, then end.
    Drain,
    /// Another SIGTERM or SIGINT: end at once.
    Stop,
}

/// The signals, caught from here on.
pub(crate) struct Signals {
    hangup: Stream,
    interrupt: Stream,
    terminate: Stream,
    user2: Stream,
}

impl Signals {
    /// Takes the signals over from the system's default, which is to end the process. Needs a runtime.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Passes every signal on, as long as the process lives.
    pub(crate) async fn forward(mut self, mut on_signal: impl FnMut(Signal)) {
        let mut is_draining = false;
        loop {
            let signal = tokio::select! {
                Some(()) = self.hangup.recv() => Signal::Reload,
                Some(()) = self.interrupt.recv() => end(&mut is_draining),
                Some(()) = self.terminate.recv() => end(&mut is_draining),
                Some(()) = self.user2.recv() => Signal::Upgrade,
                else => return,
            };
            on_signal(signal);
        }
    }
}

fn end(is_draining: &mut bool) -> Signal {
    if std::mem::replace(is_draining, true) { Signal::Stop } else { Signal::Drain }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::Control;

    #[test]
    fn the_first_end_drains_and_the_second_stops() {
        let control = Control::start().unwrap();
        let signals = control.signals().unwrap();
        let cases = [
            ("HUP", Signal::Reload),
            ("USR2", Signal::Upgrade),
            ("TERM", Signal::Drain),
            ("HUP", Signal::Reload),
            ("INT", Signal::Stop),
        ];
        for (name, expected) in cases {
            // A real signal from outside, as an operator sends it. The handlers are in place by now.
            let me = std::process::id().to_string();
            assert!(Command::new("kill").args(["-s", name, &me]).status().unwrap().success());
            assert_eq!(signals.recv_timeout(Duration::from_secs(10)).unwrap(), expected);
        }
    }
}
