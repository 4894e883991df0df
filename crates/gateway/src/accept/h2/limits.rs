//! What the `h2` crate is told to bound, each number with its reason. Memory of a connection is bounded here; work is
//! bounded by the guard.
//!
//! A client's connection holds at most: 1 MiB of bodies that wait for services ([`CONNECTION_WINDOW`]), 4 MiB of
//! bookkeeping if they came in crumbs ([`CRUMBS`]), and [`SEND_BUFFER`] of answer for each stream whose client grants
//! window but does not read: 8 MiB with 128 streams. A stream whose client grants no window holds nothing here: `h2` gives it
//! no capacity, so its answer stays with the service.

use std::time::Duration;

use h2::{client, server};
use http1::Limits;

/// How the end towards clients is set up, for a listener's limits of a head and of streams at once.
pub fn server_builder(head: &Limits, streams: u32) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(streams)
        .max_header_list_size(header_list(head))
        .header_table_size(HEADER_TABLE)
        .max_frame_size(FRAME)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(CRUMBS)
        .max_pending_accept_reset_streams(streams as usize)
        .max_concurrent_reset_streams(REMEMBERED_RESETS * streams as usize)
        .reset_stream_duration(RESET_MEMORY)
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        .enable_connect_protocol();
    builder
}

/// How the end towards services is set up, for the limits of an answer's head and the most streams that the gateway opens
/// on one connection.
pub fn client_builder(head: &Limits, streams: u32) -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .max_header_list_size(header_list(head))
        .header_table_size(HEADER_TABLE)
        .max_frame_size(FRAME)
        .initial_window_size(STREAM_WINDOW)
        // All streams at once: one client that does not read its answer must not hold up those of others, who share this
        // connection without knowing.
        .initial_connection_window_size(STREAM_WINDOW.saturating_mul(streams).min(LARGEST_WINDOW))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(CRUMBS)
        // None before the service has said how many it takes: what waited for the connection must not queue beyond that.
        .initial_max_send_streams(0)
        .max_concurrent_reset_streams(REMEMBERED_RESETS * streams as usize)
        .reset_stream_duration(RESET_MEMORY)
        .max_local_error_reset_streams(Some(LOCAL_RESETS));
    builder
}

/// The limit of a head in the measure of HTTP/2, which adds 32 bytes for each field (RFC 9113, section 6.5.2). A head that
/// is over ours but under this gets the gateway's own refusal, and a line in the log; over this, a bare 431 from `h2`; over
/// four times this, the connection ends.
fn header_list(head: &Limits) -> u32 {
    let fields = head.headers.min(http1::MOST_FIELDS);
    u32::try_from(head.head.saturating_add(32 * fields)).unwrap_or(u32::MAX)
}

/// Bytes of the table of fields that a peer may have us keep for its heads: the protocol's default. A head that is packed
/// into references to it may unpack to much more than was sent, but is counted as it unpacks.
const HEADER_TABLE: u32 = 4096;

/// The largest frame that is taken, the protocol's least: a frame is held whole before it is looked at.
const FRAME: u32 = 16 * 1024;

/// Bytes that may come on a stream before any has been passed on: the buffer of a slow service, for each of its requests.
/// 64 KiB in 50 ms are 10 Mbit/s for one upload from afar; across a data centre it is no limit.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same for all streams of a client's connection together: sixteen uploads may be stalled by their services before a
/// seventeenth has to wait for one of them.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The largest window that there is (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// Bytes of an answer that are held for one stream, within its window, while the connection takes no more.
const SEND_BUFFER: usize = 64 * 1024;

/// Bookkeeping, in bytes, for DATA frames of under 256 bytes that nobody has read yet, less what they hold: 16,384 of the
/// smallest. By itself `h2` takes half the window, 512 KiB, which two gRPC streams with small messages fill when their
/// service is slow.
const CRUMBS: usize = 4 * 1024 * 1024;

/// How long a stream that the gateway has reset is remembered, so that what was under way for it is passed over and not
/// taken for a fault of the client: a few round trips of a bad line.
const RESET_MEMORY: Duration = Duration::from_secs(3);

/// How many of them, for each that may be open at once: a proxy whose uploads are all refused goes on sending them, and what
/// comes for a forgotten one counts as a fault. Each is about half a kilobyte.
const REMEMBERED_RESETS: usize = 4;

/// Streams of one connection, in all its life, that `h2` resets for faults of the client (malformed heads, bodies that
/// belie `content-length`, streams beyond the allowed): an honest client makes next to none, and one that counts on each of
/// them costing a call to a service (CVE-2025-8671) is cut after as many as this.
const LOCAL_RESETS: usize = 512;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use std::time::Instant;

    use super::super::{Attack, Guard};
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// `:method: POST`, `:scheme: http`, `:path: /`, `:authority: a`, all from the static table or literal.
    const HEAD: &[u8] = b"\x83\x86\x84\x41\x01a";
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn streams(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(|number| number * 2 + 1)
    }

    /// What a server that answers nothing makes of a client that sends this and ends.
    async fn verdict(bytes: Vec<u8>) -> Result<(), Option<Attack>> {
        let (client, server) = duplex(1 << 16);
        let (mut reader, mut writer) = tokio::io::split(client);
        let send = async move {
            // It fails when the server has gone.
            let _ = writer.write_all(PREFACE).await;
            let _ = writer.write_all(&bytes).await;
            let _ = writer.shutdown().await;
        };
        let receive = async move {
            let mut all = Vec::new();
            let _ = reader.read_to_end(&mut all).await;
            all
        };
        let ((), written, served) = tokio::join!(send, receive, serve(server));
        served.map_err(|error| {
            let mut guard = Guard::new(0, Instant::now());
            for piece in written.chunks(7) {
                guard.wrote(piece);
            }
            guard.blame(&error)
        })
    }

    async fn serve(server: DuplexStream) -> Result<(), h2::Error> {
        let limits = Limits::default();
        let mut connection = server_builder(&limits, 128).handshake::<_, bytes::Bytes>(server).await?;
        // Held, as by exchanges that wait for their service.
        let mut held = Vec::new();
        while let Some(stream) = connection.accept().await {
            held.push(stream?);
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_h2_cuts_is_told_by_the_names_of_the_guard() {
        let head = frame(HEADERS, END_HEADERS, 1, HEAD);
        let reset = |stream| {
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD);
            [head, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        };
        // A field that a head must not have: a fault for which its stream is reset.
        let malformed = [HEAD, b"\0\x0aconnection\x01x"].concat();
        let faulty = |stream| frame(HEADERS, END_HEADERS, stream, &malformed);
        let unended = frame(HEADERS, 0, 1, HEAD);
        let more = frame(CONTINUATION, 0, 1, b"");
        // One large field put into the table, then named by single bytes.
        let large = [&b"\x40\x01a\x7f\x80\x17"[..], &[b'x'; 127 + (0x17 << 7)][..]].concat();
        let bomb = [HEAD, &large, &[0xbe; 200]].concat();
        let cases = [
            (streams(200).flat_map(reset).collect(), Attack::RapidReset),
            (streams(600).flat_map(faulty).collect(), Attack::StreamErrorFlood),
            ([unended, more.repeat(10)].concat(), Attack::ContinuationFlood),
            (frame(HEADERS, END_HEADERS, 1, &bomb), Attack::HpackBomb),
            ([head.clone(), frame(DATA, 0, 1, b"").repeat(200)].concat(), Attack::EmptyDataFlood),
            ([head.clone(), frame(DATA, 0, 1, b"x").repeat(20_000)].concat(), Attack::EmptyDataFlood),
        ];
        for (bytes, attack) in cases {
            assert_eq!(verdict(bytes).await, Err(Some(attack)));
        }
    }

    #[tokio::test]
    async fn what_h2_takes_for_as_long_as_it_comes_is_left_to_the_guard() {
        for flood in [
            frame(PING, 0, 0, &[0; 8]),
            frame(SETTINGS, 0, 0, b""),
            frame(2, 0, 1, &[0, 0, 0, 0, 1]),
            frame(8, 0, 0, &[0, 0, 0, 1]),
            frame(0x2a, 0, 0, b"x"),
        ] {
            verdict(flood.repeat(20_000)).await.unwrap();
        }
    }
}
