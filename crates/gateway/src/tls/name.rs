//! The text of a distinguished name (RFC 4514), as `CN=partner-7,O=Example\, Inc.,C=DE`: the last part first.

use std::fmt::Write as _;

use x509_parser::prelude::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

/// The text of a name, cut off at a bound.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.into_iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        part_text(part, &mut text);
        if text.len() > MAX_NAME {
            text.truncate(text.floor_char_boundary(MAX_NAME));
            break;
        }
    }
    text
}

fn part_text(part: &RelativeDistinguishedName<'_>, text: &mut String) {
    for (index, attribute) in part.iter().enumerate() {
        if index > 0 {
            text.push('+');
        }
        let oid = attribute.attr_type().to_id_string();
        let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
        match (short, value_of(attribute)) {
            (Some((_, short)), Some(value)) => {
                let _ = write!(text, "{short}=");
                escape(&value, text);
            }
            // What has no short name or no text is shown as its encoding (section 2.4).
            (short, _) => {
                let _ = write!(
                    text,
                    "{}=#{}",
                    short.map_or(oid.as_str(), |(_, short)| *short),
                    encoding(attribute)
                );
            }
        }
    }
}

/// The value as text, where it is of a type that holds text.
fn value_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    match value.tag().0 {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        12 | 18 | 19 | 22 | 26 => String::from_utf8(value.data.to_vec()).ok(),
        // BMPString
        30 if value.data.len().is_multiple_of(2) => {
            let units: Vec<u16> =
                value.data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// Escapes what has a meaning in a name, and what no log line or header may hold (section 2.4).
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, character) in value.char_indices() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            other => text.push(other),
        }
    }
}

/// The DER of a value in hexadecimal digits.
fn encoding(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value = attribute.attr_value();
    let length = value.data.len();
    let constructed = if value.header.is_constructed() { 0x20 } else { 0 };
    let mut der = vec![(value.tag().0 & 0x1f) as u8 | constructed];
    match length {
        0..0x80 => der.push(length as u8),
        0x80..0x100 => der.extend([0x81, length as u8]),
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend(value.data.iter().take(MAX_NAME));
    crate::hexadecimal::encode(&der)
}

/// The short names of section 3, and those that directories and authorities use besides.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Bytes of a name.
pub(super) const MAX_NAME: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn named(parts: &[(DnType, DnValue)]) -> String {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            parameters.distinguished_name.push(kind.clone(), value.clone());
        }
        let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(made.der()).unwrap();
        text(parsed.subject())
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn a_name_is_written_last_part_first_with_escapes() {
        let country = (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap()));
        let named_so = |name: &str| named(&[country.clone(), (DnType::CommonName, utf8(name))]);
        for (name, expected) in [
            ("partner-7", "CN=partner-7,C=DE"),
            ("Example, Inc.", "CN=Example\\, Inc.,C=DE"),
            (" a b ", "CN=\\ a b\\ ,C=DE"),
            ("#1", "CN=\\#1,C=DE"),
            ("a+b=\"c\";<d>\\", "CN=a\\+b=\\\"c\\\"\\;\\<d\\>\\\\,C=DE"),
            ("a\r\nX-Admin: yes", "CN=a\\0d\\0aX-Admin: yes,C=DE"),
            ("Ünal \u{85}", "CN=Ünal \\c2\\85,C=DE"),
            ("x,CN=admin", "CN=x\\,CN=admin,C=DE"),
        ] {
            assert_eq!(named_so(name), expected);
        }
    }

    #[test]
    fn what_has_no_short_name_is_shown_as_its_encoding() {
        let unknown = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 5]);
        assert_eq!(named(&[(unknown, utf8("ab"))]), "1.3.6.1.4.1.5=#0c026162");
        let wide = DnValue::BmpString("Zoë".try_into().unwrap());
        assert_eq!(named(&[(DnType::CommonName, wide)]), "CN=Zoë");
        assert_eq!(named(&[]), "");
    }

    #[test]
    fn a_name_is_bounded() {
        let long = utf8(&"ü".repeat(MAX_NAME));
        assert!(named(&[(DnType::CommonName, long)]).len() <= MAX_NAME);
    }
}
