//! `versions`: tells callers of an API's version that it goes away: `Deprecation` (RFC 9745), `Sunset` (RFC 8594).

use http1::Known;

use crate::exchange::Exchange;
use crate::policies::Policy;
use crate::refusal::Stage;

/// The compiled policy.
#[derive(Debug)]
pub struct Lifecycle {
    deprecation: Option<String>,
    sunset: Option<String>,
}

impl Lifecycle {
    /// What to tell; both are seconds since the Unix epoch. `Deprecation` takes nothing but a date (RFC 9745, section
    /// 2.1), so a version that was deprecated on an unknown day sends none.
    pub fn build(deprecated: Option<u64>, sunset: Option<u64>) -> Option<Self> {
        let deprecation = deprecated.map(|since| format!("@{since}"));
        let sunset = sunset.map(|day| String::from_utf8_lossy(&crate::clock::format_date(day)).into_owned());
        (deprecation.is_some() || sunset.is_some()).then_some(Self { deprecation, sunset })
    }
}

impl Policy for Lifecycle {
    fn name(&self) -> &'static str {
        "versions"
    }

    fn stage(&self) -> Stage {
        Stage::Shape
    }

    fn on_response(&self, exchange: &mut Exchange) {
        let fields = &mut exchange.response.fields;
        if let Some(deprecation) = &self.deprecation {
            fields.set(Known::Deprecation, deprecation.as_bytes());
        }
        if let Some(sunset) = &self.sunset {
            fields.set(Known::Sunset, sunset.as_bytes());
        }
    }

    fn explain(&self) -> String {
        match (&self.deprecation, &self.sunset) {
            (Some(_), Some(sunset)) => format!("says that this version is deprecated, until {sunset}"),
            (Some(_), None) => "says that this version is deprecated".to_owned(),
            (None, Some(sunset)) => format!("says that this version ends at {sunset}"),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_sunset_is_an_http_date_and_a_deprecation_a_structured_one() {
        let policy = Lifecycle::build(Some(1_772_323_200), Some(1_806_451_200)).unwrap();
        assert_eq!(policy.deprecation.as_deref(), Some("@1772323200"));
        assert_eq!(policy.sunset.as_deref(), Some("Wed, 31 Mar 2027 00:00:00 GMT"));
        assert!(Lifecycle::build(None, Some(1_806_451_200)).unwrap().deprecation.is_none());
        assert!(Lifecycle::build(None, None).is_none());
    }
}
