//! What a client may spend on frames that are no work: leaky budgets, and the reasons for their sizes.
//!
//! Each kind of frame draws on a budget of its own, which time refills. Where honest clients send such frames in answer
//! to what they get (grants of window, pings that measure the path), what the gateway writes refills it too, a byte for
//! a unit: then a busy connection may have many, an idle one few. Cutting is for floods; what costs no more than
//! serving requests would is not cut.

use std::time::Duration;

use super::attack::Attack;

/// How often budgets are refilled.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// The terms of one budget.
#[derive(Debug)]
pub(super) struct Terms {
    /// Units that may be spent at once.
    pub(super) burst: u32,
    /// Units that each tick gives back.
    pub(super) refill: u32,
    /// What spending more is called.
    pub(super) attack: Attack,
}

/// What has been spent of one budget.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Budget {
    spent: u32,
}

impl Budget {
    /// Spends some units, if they are left.
    pub(super) fn spend(&mut self, units: u32, terms: &Terms) -> Result<(), Attack> {
        self.spent = self.spent.saturating_add(units);
        if self.spent > terms.burst { Err(terms.attack) } else { Ok(()) }
    }

    /// Units spent and not given back.
    pub(super) fn spent(self) -> u32 {
        self.spent
    }

    /// Gives units back.
    pub(super) fn refund(&mut self, units: u32) {
        self.spent = self.spent.saturating_sub(units);
    }

    /// Gives back what these ticks do.
    pub(super) fn refill(&mut self, ticks: u32, terms: &Terms) {
        self.refund(ticks.saturating_mul(terms.refill));
    }
}

/// `RST_STREAM`: 500 at once, 100 a second, and one for each request that was answered. A page left while it loads
/// cancels as many streams as were open (128 unless configured); a proxy that carries many clients, or a gRPC client
/// whose deadlines all pass at once, several times that. A cancelled request may have reached the service, so a hundred
/// a second on one connection is what a slow trickle of real requests would cost; the attack needs thousands.
pub(super) const RESETS: Terms = Terms { burst: 500, refill: 10, attack: Attack::RapidReset };

/// `SETTINGS`, its acknowledgements, and each [`SETTINGS_ENTRIES`] bytes of one: 128 at once, 10 a second. Clients send one or two, and
/// gRPC another whenever its estimate of the path grows.
pub(super) const SETTINGS: Terms = Terms { burst: 128, refill: 1, attack: Attack::SettingsFlood };

/// Bytes of one SETTINGS frame that cost no more than an empty one: sixteen settings, twice as many as are defined.
pub(super) const SETTINGS_ENTRIES: u32 = 96;

/// `PING`: 200 at once, 20 a second, and one for each 32 bytes written. Keep-alive pings come every ten seconds or more,
/// but gRPC for Go measures the path with one a round trip while data comes, which on a fast network is thousands a second.
/// The answer to a ping is 17 bytes and pays for half of the next one: that only doubles the budget.
pub(super) const PINGS: Terms = Terms { burst: 200 * PING, refill: 2 * PING, attack: Attack::PingFlood };
/// What one `PING` costs.
pub(super) const PING: u32 = 32;

/// `WINDOW_UPDATE`: 4000 at once, 1000 a second, and one for each eight bytes written: clients without thought send two
/// for each DATA frame they get, and the smallest of those with content has ten bytes.
pub(super) const WINDOW_UPDATES: Terms =
    Terms { burst: 4000 * WINDOW_UPDATE, refill: 100 * WINDOW_UPDATE, attack: Attack::WindowUpdateFlood };
/// What one `WINDOW_UPDATE` costs.
pub(super) const WINDOW_UPDATE: u32 = 8;
/// What one costs that grants less than [`CRUMB`]: more than the frame that it lets us send pays for.
pub(super) const WINDOW_CRUMB: u32 = 32;
/// A window of fewer bytes is not worth a frame.
pub(super) const CRUMB: u32 = 16;

/// `DATA` without data that does not end its stream: 100 at once, 10 a second. There is no use for it; `h2` itself allows 100
/// in the life of a connection and so mostly is the one that cuts it.
pub(super) const EMPTY_DATA: Terms = Terms { burst: 100, refill: 1, attack: Attack::EmptyDataFlood };

/// `DATA` of fewer than [`CRUMB`] bytes: 20,000 at once, 10,000 a second, and one for each sixteen bytes written or received
/// in larger ones. Each is passed on at the cost of a system call. Messages of gRPC may be that small (five bytes and up),
/// and a client streams as many as it likes while it is answered, or in bursts; keystrokes over a WebSocket never come near.
pub(super) const TINY_DATA: Terms =
    Terms { burst: 20_000 * TINY, refill: 1000 * TINY, attack: Attack::TinyDataFlood };
/// What one costs.
pub(super) const TINY: u32 = 16;

/// `PRIORITY` and `PRIORITY_UPDATE`: 1000 at once, 100 a second, and two for each stream opened. Old Firefox builds a tree of six at
/// the start and sends one for each request; scrolling a page of images reorders dozens.
pub(super) const PRIORITIES: Terms = Terms { burst: 1000, refill: 10, attack: Attack::PriorityFlood };
/// What each opened stream gives back.
pub(super) const PRIORITIES_A_STREAM: u32 = 2;

/// Frames of unknown types, GOAWAY, `PUSH_PROMISE`: 200 at once, 10 a second, and one for each stream opened and each DATA frame
/// of size: browsers grease, which is to send unknown frames beside these so that servers stay used to them (RFC 9113, section
/// 5.5).
pub(super) const STRAYS: Terms = Terms { burst: 200, refill: 1, attack: Attack::UnknownFrameFlood };

/// `CONTINUATION` frames of one head. Heads within the limits fit the frames that we allow, of 16 KiB, five times over;
/// `h2` ends the connection at the sixth, and sees it later than the guard when they come at once.
pub(super) const MOST_CONTINUATIONS: u32 = 8;

/// How many times the allowed size of a head its packed form may have. One that is merely too large is to be answered with 431
/// on its stream, by `h2`, which stops at the same measure of the unpacked form.
pub(super) const LARGEST_BLOCK: u32 = 4;
