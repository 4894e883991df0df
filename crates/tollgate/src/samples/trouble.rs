//! The trouble that a request may ask a sample for, in its query or its header fields.

use std::time::Duration;

use http::StatusCode;
use http::request::Parts;

use super::answer::query_value;

/// The longest delay that a request may ask for.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// What shall go wrong with this request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trouble {
    /// `?delay=200ms` or `X-Delay`: wait before answering. In `ms` or `s`, a minute at most.
    pub(super) delay: Duration,
    /// `?fail=0.3` or `X-Fail`: the share of such requests to answer with 500, from 0 to 1.
    pub(super) fail: f64,
    /// `?status=503` or `X-Status`: the status to answer with, from 200 to 599.
    pub(super) status: Option<StatusCode>,
}

impl Trouble {
    /// Reads what a request asks for; the query wins over the header. The error is a sentence for the client.
    pub(super) fn read(parts: &Parts) -> Result<Self, &'static str> {
        let mut trouble = Self::default();
        if let Some(text) = asked(parts, "delay", "x-delay") {
            trouble.delay = delay(&text).ok_or("`delay` takes a duration up to 60s, as in 200ms")?;
        }
        if let Some(text) = asked(parts, "fail", "x-fail") {
            trouble.fail = share(&text).ok_or("`fail` takes a share from 0 to 1, as in 0.3")?;
        }
        if let Some(text) = asked(parts, "status", "x-status") {
            trouble.status = Some(status(&text).ok_or("`status` takes a status from 200 to 599, as in 503")?);
        }
        Ok(trouble)
    }

    /// Whether the request with this `number` is one of those that fail. Multiples of the golden ratio fill the
    /// unit interval evenly, so the share holds over few requests and needs no random numbers.
    pub(super) fn strikes(&self, number: u64) -> bool {
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((place >> 11) as f64) < self.fail * (1_u64 << 53) as f64
    }
}

fn asked(parts: &Parts, key: &str, field: &str) -> Option<String> {
    query_value(parts, key).or_else(|| parts.headers.get(field)?.to_str().ok().map(str::to_owned))
}

fn delay(text: &str) -> Option<Duration> {
    let delay = match text.strip_suffix("ms") {
        Some(count) => Duration::from_millis(count.parse().ok()?),
        None => Duration::from_secs(text.strip_suffix('s')?.parse().ok()?),
    };
    (delay <= MAX_DELAY).then_some(delay)
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

fn status(text: &str) -> Option<StatusCode> {
    // 1xx are not answers.
    StatusCode::from_bytes(text.as_bytes()).ok().filter(|status| (200..600).contains(&status.as_u16()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Request;

    use super::*;

    fn read(query: &str, fields: &[(&str, &str)]) -> Result<Trouble, &'static str> {
        let mut request = Request::get(format!("/users{query}"));
        for &(name, value) in fields {
            request = request.header(name, value);
        }
        Trouble::read(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn trouble_is_asked_for_in_the_query_or_the_header() {
        let delayed = |millis| Trouble { delay: Duration::from_millis(millis), ..Trouble::default() };
        assert_eq!(read("", &[]), Ok(Trouble::default()));
        assert_eq!(read("?delay=200ms", &[]), Ok(delayed(200)));
        assert_eq!(read("?user=1&delay=2s", &[]), Ok(delayed(2000)));
        assert_eq!(read("", &[("x-delay", "5ms")]), Ok(delayed(5)));
        assert_eq!(read("?delay=1ms", &[("x-delay", "5ms")]), Ok(delayed(1)));
        assert_eq!(
            read("?fail=0.25", &[("x-status", "503")]),
            Ok(Trouble { fail: 0.25, status: Some(StatusCode::SERVICE_UNAVAILABLE), ..Trouble::default() })
        );
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        for query in [
            "delay=61s",
            "delay=60001ms",
            "delay=-1s",
            "delay=1",
            "delay=",
            "delay=1h",
            "fail=1.1",
            "fail=-0.1",
            "fail=NaN",
            "fail=often",
            "status=100",
            "status=600",
            "status=abc",
        ] {
            assert!(read(&format!("?{query}"), &[]).is_err(), "{query}");
        }
    }

    #[test]
    fn failures_come_in_the_asked_share() {
        for (fail, expected) in [(0.0, 0), (0.3, 300), (0.5, 500), (1.0, 1000)] {
            let trouble = Trouble { fail, ..Trouble::default() };
            let failed: u32 = (1..=1000).map(|number| u32::from(trouble.strikes(number))).sum();
            assert!(failed.abs_diff(expected) <= 3, "{failed} of 1000 for {fail}");
        }
    }
}
