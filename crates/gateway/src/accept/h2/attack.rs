//! The abuses of HTTP/2 that end a connection, by the names that the log and the metrics use.
//!
//! Some are told by the guard, some by the `h2` crate, the stalled window by the exchange that waited for it: whoever
//! saw it first, an abuse has one name.

use h2::Reason;

/// An abuse of the protocol. The connection ends with `GOAWAY ENHANCE_YOUR_CALM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attack {
    /// Requests that are cancelled faster than they are answered (CVE-2023-44487).
    RapidReset,
    /// Streams that the client makes the gateway reset (CVE-2025-8671).
    StreamErrorFlood,
    /// A head that does not end (CVE-2024-27316).
    ContinuationFlood,
    /// A head that unpacks to many times the allowed size (CVE-2016-6581).
    HpackBomb,
    /// `SETTINGS` frames, each of which must be acknowledged (CVE-2019-9515).
    SettingsFlood,
    /// `PING` frames, each of which must be answered (CVE-2019-9512).
    PingFlood,
    /// `PRIORITY` frames, which nobody heeds any more (CVE-2019-9513).
    PriorityFlood,
    /// Grants of window in crumbs (CVE-2019-9511) or without need.
    WindowUpdateFlood,
    /// `DATA` frames without data that do not end the stream (CVE-2019-9518).
    EmptyDataFlood,
    /// Bodies in pieces of a few bytes, far more of them than anybody has use for.
    TinyDataFlood,
    /// Frames of unknown types, and those that clients send once or never.
    UnknownFrameFlood,
    /// An answer for which no window was granted in time (CVE-2019-9517).
    WindowStall,
}

impl Attack {
    /// All of them, each at the place that [`Attack::index`] says.
    pub const ALL: [Self; 12] = [
        Self::RapidReset,
        Self::StreamErrorFlood,
        Self::ContinuationFlood,
        Self::HpackBomb,
        Self::SettingsFlood,
        Self::PingFlood,
        Self::PriorityFlood,
        Self::WindowUpdateFlood,
        Self::EmptyDataFlood,
        Self::TinyDataFlood,
        Self::UnknownFrameFlood,
        Self::WindowStall,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid_reset",
            Self::StreamErrorFlood => "stream_error_flood",
            Self::ContinuationFlood => "continuation_flood",
            Self::HpackBomb => "hpack_bomb",
            Self::SettingsFlood => "settings_flood",
            Self::PingFlood => "ping_flood",
            Self::PriorityFlood => "priority_flood",
            Self::WindowUpdateFlood => "window_update_flood",
            Self::EmptyDataFlood => "empty_data_flood",
            Self::TinyDataFlood => "tiny_data_flood",
            Self::UnknownFrameFlood => "unknown_frame_flood",
            Self::WindowStall => "window_stall",
        }
    }

    /// Its place in [`Attack::ALL`], for tables of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The abuse for which the `h2` crate ended a connection by itself, if it was one. `written` is the end of what was
    /// written to the client.
    ///
    /// What exactly it saw is told to the client alone, as debug data of the GOAWAY that it wrote last; the error has
    /// only the reason.
    pub(super) fn of_error(error: &h2::Error, written: &[u8]) -> Option<Self> {
        if !error.is_library() {
            return None;
        }
        match error.reason()? {
            // A string of a head that was over the limit already goes on and on.
            Reason::COMPRESSION_ERROR => Some(Self::HpackBomb),
            Reason::ENHANCE_YOUR_CALM => {
                let named = OF_DEBUG_DATA.iter().find(|(word, _)| written.ends_with(word));
                named.map(|(_, attack)| *attack)
            }
            _ => None,
        }
    }
}

/// The words of `h2` 0.4 for what it cuts.
const OF_DEBUG_DATA: [(&[u8], Attack); 5] = [
    (b"too_many_resets", Attack::RapidReset),
    (b"too_many_internal_resets", Attack::StreamErrorFlood),
    (b"too_many_continuations", Attack::ContinuationFlood),
    (b"header_list_way_too_large", Attack::HpackBomb),
    (b"too_many_data_frames", Attack::EmptyDataFlood),
];

/// The longest of these words.
pub(super) const LONGEST_DEBUG_DATA: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_its_place_and_its_own_name() {
        for (place, attack) in Attack::ALL.into_iter().enumerate() {
            assert_eq!(attack.index(), place);
            let same = Attack::ALL.iter().filter(|other| other.as_str() == attack.as_str());
            assert_eq!(same.count(), 1, "{}", attack.as_str());
        }
        assert_eq!(OF_DEBUG_DATA.iter().map(|(word, _)| word.len()).max(), Some(LONGEST_DEBUG_DATA));
    }
}
