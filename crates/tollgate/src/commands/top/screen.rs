//! The terminal: what comes from it and from the gateway changes the state, and each change is drawn.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use gateway::status::Status;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as Input};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::Failure;
use super::address::Address;
use super::client::{self, Trouble};
use super::keys::{self, Next};
use super::state::State;
use super::view;
use crate::terminal;

/// What is waited for.
enum Event {
    Reading(Result<Status, Trouble>),
    Input(Input),
    /// A signal, or the terminal is gone.
    End,
}

/// Shows it until a key or a signal ends it. The terminal is left as it was found, after a panic too.
pub(super) fn show(
    runtime: Runtime,
    address: Address,
    every: Duration,
    first: Result<Status, Trouble>,
) -> Result<(), Failure> {
    let (events, inbox) = mpsc::channel();
    let mut state = State::new(address.clone(), every);
    state.read(first);
    let cannot = |error: io::Error| Failure::new(format!("cannot use this terminal: {error}"));
    // From here on signals are events: one that ends the process at once would leave the terminal as it is.
    let asking = events.clone();
    thread::spawn(move || runtime.block_on(ask(&address, every, &asking)));
    let mut terminal = ratatui::try_init().map_err(cannot)?;
    thread::spawn(move || listen(&events));
    let shown = run(&mut terminal, &mut state, &inbox);
    ratatui::restore();
    shown.map_err(cannot)
}

fn run(terminal: &mut DefaultTerminal, state: &mut State, inbox: &Receiver<Event>) -> io::Result<()> {
    let is_colored = terminal::wants_color();
    loop {
        terminal.draw(|frame| view::draw(frame, state, is_colored))?;
        // Both senders are gone only when their threads have ended, which end with this.
        match inbox.recv() {
            Ok(Event::Reading(reading)) => state.read(reading),
            Ok(Event::Input(Input::Key(key))) if keys::press(state, key) == Next::End => return Ok(()),
            // A new size is seen when it is drawn.
            Ok(Event::Input(_)) => {}
            Ok(Event::End) | Err(_) => return Ok(()),
        }
    }
}

/// Passes on what the terminal says, as long as somebody wants to know.
fn listen(events: &Sender<Event>) {
    loop {
        let event = event::read().map_or(Event::End, Event::Input);
        let is_over = matches!(event, Event::End);
        if events.send(event).is_err() || is_over {
            return;
        }
    }
}

/// Asks the gateway again and again, as long as somebody wants to know, and passes signals on.
async fn ask(address: &Address, every: Duration, events: &Sender<Event>) {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
        let Ok(mut signals) = signal(kind) else { continue };
        let events = events.clone();
        tokio::spawn(async move {
            signals.recv().await;
            let _ = events.send(Event::End);
        });
    }
    let mut turns = tokio::time::interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once, and has been read already.
    turns.tick().await;
    loop {
        turns.tick().await;
        if events.send(Event::Reading(client::ask(address).await)).is_err() {
            return;
        }
    }
}
