//! Countries by the codes of ISO 3166-1, and what else an address may belong to.

use std::fmt;

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::Node;
use crate::config::read::{Read, Reader, nearest};

/// A country, or `unknown` for addresses of none: where its code stands in the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country(u8);

impl Country {
    /// No country that is known.
    pub const UNKNOWN: Self = Self(COUNTRIES.len() as u8);

    /// The country of a code in capitals; `UNKNOWN` for what is no code.
    pub fn of_code(code: &str) -> Self {
        let found = COUNTRIES.binary_search_by(|(known, _)| (*known).cmp(code));
        found.map_or(Self::UNKNOWN, |place| Self(place as u8))
    }

    /// Its code, or `unknown`.
    pub fn as_str(self) -> &'static str {
        COUNTRIES.get(usize::from(self.0)).map_or(UNKNOWN, |(code, _)| *code)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Read for Country {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = reader.text(node, WHAT)?;
        let country = Self::of_code(&text);
        if country != Self::UNKNOWN || text == UNKNOWN {
            return Some(country);
        }
        let fault = Fault::error("bad_value", node.span, format!("expected {WHAT}"));
        reader.fault(match meant(&text) {
            Some((code, name)) => fault.help(format!("did you mean `{code}` ({name})?")),
            None => fault,
        });
        None
    }
}

impl JsonSchema for Country {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Country".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": WHAT,
            "pattern": "^([A-Z]{2}|unknown|.*\\$\\{.*)$"
        })
    }
}

/// Some countries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Countries([u64; 4]);

impl Countries {
    /// Whether this one is among them.
    pub fn contains(self, country: Country) -> bool {
        self.0[usize::from(country.0 / 64)] >> (country.0 % 64) & 1 == 1
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl FromIterator<Country> for Countries {
    fn from_iter<I: IntoIterator<Item = Country>>(countries: I) -> Self {
        let mut bits = [0; 4];
        for Country(place) in countries {
            bits[usize::from(place / 64)] |= 1 << (place % 64);
        }
        Self(bits)
    }
}

impl fmt::Display for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (0..=Country::UNKNOWN.0).map(Country).filter(|country| self.contains(*country));
        for (place, country) in all.enumerate() {
            write!(f, "{}{country}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The country that somebody meant who wrote a small code, its name, or a code that is used elsewhere.
fn meant(text: &str) -> Option<(&'static str, &'static str)> {
    let capitals = text.to_ascii_uppercase();
    let code =
        USED_ELSEWHERE.iter().find(|(used, _)| *used == capitals).map_or(&*capitals, |(_, code)| *code);
    if let Some(found) = COUNTRIES.iter().find(|(known, _)| *known == code) {
        return Some(*found);
    }
    // Names of three letters are none of ours: everything of that length is near to something.
    let names: Vec<&str> = COUNTRIES.iter().map(|(_, name)| *name).filter(|name| name.len() > 3).collect();
    let name = nearest(text, &names).filter(|_| text.len() > 3)?;
    COUNTRIES.iter().find(|(_, known)| *known == name).copied()
}

const WHAT: &str = "the code of a country (ISO 3166-1, two capitals): DE, AT, CH; or unknown";

const UNKNOWN: &str = "unknown";

/// Codes that others use, and those of the standard.
const USED_ELSEWHERE: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

/// ISO 3166-1 alpha-2 in order, with names to find a code by, and XK, which the databases use for Kosovo.
const COUNTRIES: [(&str, &str); 250] = [
    ("AD", "Andorra"),
    ("AE", "United Arab Emirates"),
    ("AF", "Afghanistan"),
    ("AG", "Antigua and Barbuda"),
    ("AI", "Anguilla"),
    ("AL", "Albania"),
    ("AM", "Armenia"),
    ("AO", "Angola"),
    ("AQ", "Antarctica"),
    ("AR", "Argentina"),
    ("AS", "American Samoa"),
    ("AT", "Austria"),
    ("AU", "Australia"),
    ("AW", "Aruba"),
    ("AX", "Åland Islands"),
    ("AZ", "Azerbaijan"),
    ("BA", "Bosnia and Herzegovina"),
    ("BB", "Barbados"),
    ("BD", "Bangladesh"),
    ("BE", "Belgium"),
    ("BF", "Burkina Faso"),
    ("BG", "Bulgaria"),
    ("BH", "Bahrain"),
    ("BI", "Burundi"),
    ("BJ", "Benin"),
    ("BL", "Saint Barthelemy"),
    ("BM", "Bermuda"),
    ("BN", "Brunei"),
    ("BO", "Bolivia"),
    ("BQ", "Caribbean NL"),
    ("BR", "Brazil"),
    ("BS", "Bahamas"),
    ("BT", "Bhutan"),
    ("BV", "Bouvet Island"),
    ("BW", "Botswana"),
    ("BY", "Belarus"),
    ("BZ", "Belize"),
    ("CA", "Canada"),
    ("CC", "Cocos Islands"),
    ("CD", "Democratic Republic of the Congo"),
    ("CF", "Central African Rep."),
    ("CG", "Congo"),
    ("CH", "Switzerland"),
    ("CI", "Côte d'Ivoire"),
    ("CK", "Cook Islands"),
    ("CL", "Chile"),
    ("CM", "Cameroon"),
    ("CN", "China"),
    ("CO", "Colombia"),
    ("CR", "Costa Rica"),
    ("CU", "Cuba"),
    ("CV", "Cape Verde"),
    ("CW", "Curaçao"),
    ("CX", "Christmas Island"),
    ("CY", "Cyprus"),
    ("CZ", "Czechia"),
    ("DE", "Germany"),
    ("DJ", "Djibouti"),
    ("DK", "Denmark"),
    ("DM", "Dominica"),
    ("DO", "Dominican Republic"),
    ("DZ", "Algeria"),
    ("EC", "Ecuador"),
    ("EE", "Estonia"),
    ("EG", "Egypt"),
    ("EH", "Western Sahara"),
    ("ER", "Eritrea"),
    ("ES", "Spain"),
    ("ET", "Ethiopia"),
    ("FI", "Finland"),
    ("FJ", "Fiji"),
    ("FK", "Falkland Islands"),
    ("FM", "Micronesia"),
    ("FO", "Faroe Islands"),
    ("FR", "France"),
    ("GA", "Gabon"),
    ("GB", "United Kingdom"),
    ("GD", "Grenada"),
    ("GE", "Georgia"),
    ("GF", "French Guiana"),
    ("GG", "Guernsey"),
    ("GH", "Ghana"),
    ("GI", "Gibraltar"),
    ("GL", "Greenland"),
    ("GM", "Gambia"),
    ("GN", "Guinea"),
    ("GP", "Guadeloupe"),
    ("GQ", "Equatorial Guinea"),
    ("GR", "Greece"),
    ("GS", "South Georgia and the South Sandwich Islands"),
    ("GT", "Guatemala"),
    ("GU", "Guam"),
    ("GW", "Guinea-Bissau"),
    ("GY", "Guyana"),
    ("HK", "Hong Kong"),
    ("HM", "Heard Island and McDonald Islands"),
    ("HN", "Honduras"),
    ("HR", "Croatia"),
    ("HT", "Haiti"),
    ("HU", "Hungary"),
    ("ID", "Indonesia"),
    ("IE", "Ireland"),
    ("IL", "Israel"),
    ("IM", "Isle of Man"),
    ("IN", "India"),
    ("IO", "British Indian Ocean Territory"),
    ("IQ", "Iraq"),
    ("IR", "Iran"),
    ("IS", "Iceland"),
    ("IT", "Italy"),
    ("JE", "Jersey"),
    ("JM", "Jamaica"),
    ("JO", "Jordan"),
    ("JP", "Japan"),
    ("KE", "Kenya"),
    ("KG", "Kyrgyzstan"),
    ("KH", "Cambodia"),
    ("KI", "Kiribati"),
    ("KM", "Comoros"),
    ("KN", "Saint Kitts and Nevis"),
    ("KP", "North Korea"),
    ("KR", "South Korea"),
    ("KW", "Kuwait"),
    ("KY", "Cayman Islands"),
    ("KZ", "Kazakhstan"),
    ("LA", "Laos"),
    ("LB", "Lebanon"),
    ("LC", "Saint Lucia"),
    ("LI", "Liechtenstein"),
    ("LK", "Sri Lanka"),
    ("LR", "Liberia"),
    ("LS", "Lesotho"),
    ("LT", "Lithuania"),
    ("LU", "Luxembourg"),
    ("LV", "Latvia"),
    ("LY", "Libya"),
    ("MA", "Morocco"),
    ("MC", "Monaco"),
    ("MD", "Moldova"),
    ("ME", "Montenegro"),
    ("MF", "Saint Martin"),
    ("MG", "Madagascar"),
    ("MH", "Marshall Islands"),
    ("MK", "North Macedonia"),
    ("ML", "Mali"),
    ("MM", "Myanmar"),
    ("MN", "Mongolia"),
    ("MO", "Macau"),
    ("MP", "Northern Mariana Islands"),
    ("MQ", "Martinique"),
    ("MR", "Mauritania"),
    ("MS", "Montserrat"),
    ("MT", "Malta"),
    ("MU", "Mauritius"),
    ("MV", "Maldives"),
    ("MW", "Malawi"),
    ("MX", "Mexico"),
    ("MY", "Malaysia"),
    ("MZ", "Mozambique"),
    ("NA", "Namibia"),
    ("NC", "New Caledonia"),
    ("NE", "Niger"),
    ("NF", "Norfolk Island"),
    ("NG", "Nigeria"),
    ("NI", "Nicaragua"),
    ("NL", "Netherlands"),
    ("NO", "Norway"),
    ("NP", "Nepal"),
    ("NR", "Nauru"),
    ("NU", "Niue"),
    ("NZ", "New Zealand"),
    ("OM", "Oman"),
    ("PA", "Panama"),
    ("PE", "Peru"),
    ("PF", "French Polynesia"),
    ("PG", "Papua New Guinea"),
    ("PH", "Philippines"),
    ("PK", "Pakistan"),
    ("PL", "Poland"),
    ("PM", "Saint Pierre and Miquelon"),
    ("PN", "Pitcairn"),
    ("PR", "Puerto Rico"),
    ("PS", "Palestine"),
    ("PT", "Portugal"),
    ("PW", "Palau"),
    ("PY", "Paraguay"),
    ("QA", "Qatar"),
    ("RE", "Reunion"),
    ("RO", "Romania"),
    ("RS", "Serbia"),
    ("RU", "Russia"),
    ("RW", "Rwanda"),
    ("SA", "Saudi Arabia"),
    ("SB", "Solomon Islands"),
    ("SC", "Seychelles"),
    ("SD", "Sudan"),
    ("SE", "Sweden"),
    ("SG", "Singapore"),
    ("SH", "Saint Helena"),
    ("SI", "Slovenia"),
    ("SJ", "Svalbard and Jan Mayen"),
    ("SK", "Slovakia"),
    ("SL", "Sierra Leone"),
    ("SM", "San Marino"),
    ("SN", "Senegal"),
    ("SO", "Somalia"),
    ("SR", "Suriname"),
    ("SS", "South Sudan"),
    ("ST", "Sao Tome and Principe"),
    ("SV", "El Salvador"),
    ("SX", "Sint Maarten"),
    ("SY", "Syria"),
    ("SZ", "Eswatini"),
    ("TC", "Turks and Caicos Islands"),
    ("TD", "Chad"),
    ("TF", "French S. Terr."),
    ("TG", "Togo"),
    ("TH", "Thailand"),
    ("TJ", "Tajikistan"),
    ("TK", "Tokelau"),
    ("TL", "East Timor"),
    ("TM", "Turkmenistan"),
    ("TN", "Tunisia"),
    ("TO", "Tonga"),
    ("TR", "Turkey"),
    ("TT", "Trinidad and Tobago"),
    ("TV", "Tuvalu"),
    ("TW", "Taiwan"),
    ("TZ", "Tanzania"),
    ("UA", "Ukraine"),
    ("UG", "Uganda"),
    ("UM", "US minor outlying islands"),
    ("US", "United States"),
    ("UY", "Uruguay"),
    ("UZ", "Uzbekistan"),
    ("VA", "Vatican City"),
    ("VC", "Saint Vincent"),
    ("VE", "Venezuela"),
    ("VG", "British Virgin Islands"),
    ("VI", "Virgin Islands of the United States"),
    ("VN", "Vietnam"),
    ("VU", "Vanuatu"),
    ("WF", "Wallis and Futuna"),
    ("WS", "Samoa"),
    ("XK", "Kosovo"),
    ("YE", "Yemen"),
    ("YT", "Mayotte"),
    ("ZA", "South Africa"),
    ("ZM", "Zambia"),
    ("ZW", "Zimbabwe"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_nothing_else_is_one() {
        assert!(COUNTRIES.is_sorted_by(|one, other| one.0 < other.0));
        for (code, _) in COUNTRIES {
            assert_eq!(Country::of_code(code).as_str(), code);
        }
        for text in ["", "de", "UK", "EU", "AP", "A1", "DEU", "unknown", "ZZ"] {
            assert_eq!(Country::of_code(text), Country::UNKNOWN, "{text}");
        }
        assert_eq!(Country::UNKNOWN.to_string(), "unknown");
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for (code, _) in COUNTRIES {
            let one: Countries = [Country::of_code(code)].into_iter().collect();
            assert_eq!(one.to_string(), code);
            assert!(!one.contains(Country::UNKNOWN));
        }
        let some: Countries = ["ZW", "AD", "DE", "nowhere"].map(Country::of_code).into_iter().collect();
        assert_eq!(some.to_string(), "AD, DE, ZW, unknown");
        assert!(Countries::default().is_empty() && !some.is_empty());
    }

    #[test]
    fn what_was_meant_is_guessed() {
        for (text, code) in [
            ("de", Some("DE")),
            ("UK", Some("GB")),
            ("el", Some("GR")),
            ("Germany", Some("DE")),
            ("Swizerland", Some("CH")),
            ("ZZ", None),
            ("XYZ", None),
            ("", None),
        ] {
            assert_eq!(meant(text).map(|(code, _)| code), code, "{text}");
        }
    }
}
