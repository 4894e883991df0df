//! The way of a request through the engine: leaves out of its parts, each in its plain form before the detectors.

use crate::decode::{self, Signs};
use crate::detect::head::Headers;
use crate::detect::pattern::{Expressions, Triggers};
use crate::detect::sql::Tokens;
use crate::detect::{self, Cx, Leaf, Part, Place, traits};
use crate::leaf::{Kind, MOST_LEAVES, Visit, json, multipart, pairs, xml};
use crate::media::{Media, is_text};
use crate::{Exclusion, Report, Request, rules};

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// 1, with few false alarms, to 4, which suspects nearly everything.
    pub paranoia: u8,
    /// Points from which on a request is an attack.
    pub threshold: u32,
    /// What not to be told.
    pub exclude: Vec<Exclusion>,
}

impl Default for Options {
    fn default() -> Self {
        Self { paranoia: 1, threshold: 5, exclude: Vec::new() }
    }
}

/// Finds attacks. One serves any number of requests and threads.
#[derive(Clone, Debug, Default)]
pub struct Inspector {
    options: Options,
}

/// Memory that is used again for the next request; one for each worker.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) tokens: Tokens,
    pub(crate) expressions: Expressions,
    decoded: Vec<u8>,
    text: Vec<u8>,
    low: Vec<u8>,
    spare: Vec<u8>,
    path: Vec<u8>,
}

impl Inspector {
    /// One with what an operator chose.
    pub fn new(options: Options) -> Self {
        // What all requests share is compiled here, so that the first of them does not wait for it.
        drop(Scratch::default());
        let _ = Triggers::of(b"");
        Self { options }
    }

    /// Whether what was found is enough to call the request an attack.
    pub fn blocks(&self, report: &Report) -> bool {
        report.total() >= self.options.threshold
    }

    /// Judges the request line and the headers; names in small letters, in their order.
    pub fn inspect_head<'a>(
        &self,
        request: &Request<'_>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        scratch: &mut Scratch,
        report: &mut Report,
    ) {
        let mut reader = self.reader(Part::Path, scratch, report);
        reader.path(request.path);
        if let Some(query) = request.query {
            reader.query(query);
            reader.overridden(query, request.method == "POST");
        }
        if request.path.contains(&b'#') || request.query.is_some_and(|query| query.contains(&b'#')) {
            let place = Place { part: Part::Path, name: b"", is_name: false };
            reader.cx.hit_at(rules::FRAGMENT, place, request.path, 0);
        }
        let mut seen = Headers::default();
        for (name, value) in headers {
            seen.take(request, name, value, &mut reader.cx);
            reader.header(name, value);
        }
        seen.judge(request, &mut reader.cx);
    }

    /// Judges a body, as what its Content-Type says that it is.
    pub fn inspect_body(
        &self,
        content_type: Option<&[u8]>,
        body: &[u8],
        scratch: &mut Scratch,
        report: &mut Report,
    ) {
        if body.is_empty() {
            return;
        }
        let mut reader = self.reader(Part::Body, scratch, report);
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let looks_like_json = matches!(first, Some(b'{' | b'['));
        match Media::of(content_type) {
            Media::Multipart => reader.multipart(content_type.unwrap_or_default(), body),
            Media::Json => reader.json(body, true),
            Media::Xml => reader.xml(body),
            // What is text all the same is read, whatever it says that it is.
            Media::Messages | Media::Other if !is_text(body) => {}
            Media::Unsaid | Media::Messages | Media::Other if looks_like_json => reader.json(body, false),
            Media::Form | Media::Unsaid => reader.form(body),
            Media::Text | Media::Messages | Media::Other => reader.whole(body),
        }
    }

    fn reader<'a>(&'a self, part: Part, scratch: &'a mut Scratch, report: &'a mut Report) -> Reader<'a> {
        let Options { paranoia, exclude, .. } = &self.options;
        let cx = Cx { paranoia: *paranoia, exclusions: exclude, scratch, report };
        Reader { cx, part, leaves: 0, is_many: false }
    }
}

/// Takes one part of a request apart.
struct Reader<'a> {
    cx: Cx<'a>,
    part: Part,
    leaves: usize,
    is_many: bool,
}

impl Reader<'_> {
    fn path(&mut self, path: &[u8]) {
        self.leaf(b"", path, Kind::Plain);
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~');
        for segment in
            path.split(|byte| *byte == b'/').take(64).filter(|segment| !segment.iter().all(is_plain))
        {
            // A segment is a value, as one of the query is, and some services read a plus as a space there, too.
            self.part = Part::Query;
            let place = Place { part: Part::Path, name: b"", is_name: false };
            self.decode(place, segment, Kind::Encoded);
        }
    }

    fn query(&mut self, query: &[u8]) {
        self.part = Part::Query;
        self.leaves = 0;
        pairs::form(query, self);
        self.told_of_many();
    }

    /// `_method=DELETE`, which frameworks obey and a gateway that routes by method does not. They document it for a POST
    /// that stands for one of three methods.
    fn overridden(&mut self, pairs: &[u8], is_post: bool) {
        for pair in pairs.split(|byte| *byte == b'&') {
            let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (name, method) = (&pair[..at], &pair[at + 1..]);
            if name.eq_ignore_ascii_case(b"_method") && method.first().is_some_and(u8::is_ascii_alphabetic) {
                const DOCUMENTED: [&[u8]; 3] = [b"PUT", b"PATCH", b"DELETE"];
                // Frameworks write it in small letters or in capitals.
                let is_mixed =
                    method.iter().any(u8::is_ascii_uppercase) && method.iter().any(u8::is_ascii_lowercase);
                let is_documented =
                    !is_mixed && DOCUMENTED.iter().any(|own| own.eq_ignore_ascii_case(method));
                let rule =
                    if is_post && is_documented { rules::METHOD_OF_POST } else { rules::METHOD_OVERRIDE };
                let place = Place { part: self.part, name: b"_method", is_name: false };
                return self.cx.hit_at(rule, place, pairs, 0);
            }
        }
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        self.leaves = 0;
        match name {
            "cookie" => {
                self.part = Part::Cookie;
                pairs::cookies(value, self);
            }
            "referer" => {
                self.part = Part::Header;
                self.leaf(name.as_bytes(), value, Kind::Plain);
                if let Some(at) = value.iter().position(|byte| *byte == b'?') {
                    let place = Place { part: Part::Header, name: name.as_bytes(), is_name: false };
                    for pair in value[at + 1..].split(|byte| *byte == b'&').take(64) {
                        let start = pair.iter().position(|byte| *byte == b'=').map_or(0, |at| at + 1);
                        self.decode(place, &pair[start..], Kind::Encoded);
                    }
                }
            }
            _ if is_structured(name) && is_as_structured(name, value) => {}
            _ => {
                self.part = Part::Header;
                self.leaf(name.as_bytes(), value, Kind::Plain);
            }
        }
    }

    fn form(&mut self, body: &[u8]) {
        pairs::form(body, self);
        self.overridden(body, true);
        self.told_of_many();
    }

    fn json(&mut self, body: &[u8], is_claimed: bool) {
        let mut path = std::mem::take(&mut self.cx.scratch.path);
        let is_whole = json::read(body, &mut path, self);
        self.cx.scratch.path = path;
        if !is_whole {
            let place = Place { part: Part::Body, name: b"", is_name: false };
            if is_claimed {
                self.cx.hit_at(rules::BODY_SYNTAX, place, body, 0);
            }
            // Some service may read it as something else.
            self.decode(place, body, Kind::Plain);
        }
        self.told_of_many();
    }

    fn xml(&mut self, body: &[u8]) {
        if xml::read(body, self).has_doctype {
            let place = Place { part: Part::Body, name: b"", is_name: false };
            self.cx.hit_at(rules::XSS_NAMESPACE, place, body, 0);
        }
        self.told_of_many();
    }

    fn multipart(&mut self, content_type: &[u8], body: &[u8]) {
        let place = Place { part: Part::Body, name: b"", is_name: false };
        let Some(boundary) = multipart::boundary(content_type) else {
            self.cx.hit_at(rules::MULTIPART_SYNTAX, place, body, 0);
            return self.whole(body);
        };
        let faults = multipart::read(body, boundary, self);
        if faults.is_malformed {
            self.cx.hit_at(rules::MULTIPART_SYNTAX, place, body, 0);
        }
        if faults.has_odd_header {
            self.cx.hit_at(rules::PART_HEADER, place, body, 0);
        }
        if faults.has_odd_name {
            self.cx.hit_at(rules::MULTIPART_NAME, place, body, 0);
        }
        self.told_of_many();
    }

    fn whole(&mut self, body: &[u8]) {
        self.leaf(b"", body, Kind::Plain);
    }

    fn told_of_many(&mut self) {
        if self.is_many {
            let place = Place { part: self.part, name: b"", is_name: false };
            self.cx.hit_at(rules::MANY_ARGUMENTS, place, b"", 0);
        }
    }

    /// Brings a value to its plain form and has it judged.
    fn decode(&mut self, place: Place<'_>, value: &[u8], kind: Kind) {
        // Most values are plain as they come.
        if decode::is_plain(value) && self.cx.level() < 3 {
            let mut low = std::mem::take(&mut self.cx.scratch.low);
            self.judge(place, value, value, &mut low, Signs::default());
            self.cx.scratch.low = low;
            return;
        }
        let scratch = &mut *self.cx.scratch;
        let mut decoded = std::mem::take(&mut scratch.decoded);
        let mut text = std::mem::take(&mut scratch.text);
        let mut low = std::mem::take(&mut scratch.low);
        let mut spare = std::mem::take(&mut scratch.spare);
        let mut signs = Signs::default();
        let is_json = matches!(kind, Kind::Json | Kind::JsonName);
        let is_encoded = matches!(kind, Kind::Encoded | Kind::EncodedName | Kind::EncodedLone);
        let is_percent = place.part != Part::Body && place.part != Part::Upload || is_encoded;
        if is_json && value.contains(&b'\\') {
            json::unescape(value, &mut decoded);
        } else if is_percent && value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
            decode::percent(value, is_encoded, &mut decoded, &mut signs);
            if !is_encoded && place.part != Part::Path {
                signs = Signs::default();
            }
        } else {
            decoded.clear();
            decoded.extend_from_slice(value);
        }
        text.clear();
        text.extend_from_slice(&decoded);
        signs.add(decode::plain(&mut text, &mut spare, is_json));
        self.judge(place, &decoded, &text, &mut low, signs);
        // `a%3Db` is a name to most, and a pair to who decodes before dividing.
        if kind == Kind::EncodedLone
            && let Some(at) = end_of_name(&text)
        {
            let place = Place { is_name: false, ..place };
            self.judge(place, &text[at..], &text[at..], &mut low, Signs::default());
        }
        if self.cx.level() >= 3 && decode::base64(&decoded, &mut spare) {
            self.judge(place, &decoded, &spare, &mut low, Signs::default());
        }
        let scratch = &mut *self.cx.scratch;
        (scratch.decoded, scratch.text, scratch.low, scratch.spare) = (decoded, text, low, spare);
    }

    fn judge(&mut self, place: Place<'_>, decoded: &[u8], text: &[u8], low: &mut Vec<u8>, signs: Signs) {
        low.clear();
        low.extend(text.iter().map(u8::to_ascii_lowercase));
        let class = traits::Class::of(text);
        let triggers = Triggers::of(low);
        // In a word or a number without any sign there is nothing that no trigger tells.
        let is_word = class == traits::Class::default() && triggers == Triggers::default() && text.len() < 64;
        if is_word
            && signs == Signs::default()
            && self.cx.level() == 1
            && place.part != Part::Header
            && !text.iter().any(|byte| matches!(byte, b'.' | b'-' | b'+'))
        {
            return;
        }
        detect::detect(&Leaf { place, decoded, text, low, signs, class, triggers }, &mut self.cx);
    }
}

impl Visit for Reader<'_> {
    fn leaf(&mut self, name: &[u8], value: &[u8], kind: Kind) -> bool {
        self.leaves += 1;
        if self.leaves > MOST_LEAVES {
            self.is_many = true;
            return false;
        }
        let is_name = matches!(kind, Kind::EncodedName | Kind::JsonName | Kind::PlainName);
        let is_lone = kind == Kind::EncodedLone;
        let part = if kind == Kind::FileName { Part::Upload } else { self.part };
        // Most names are words, which nothing can be found in.
        if is_name
            && value.len() < 64
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        {
            return true;
        }
        self.decode(Place { part, name, is_name: is_name || is_lone }, value, kind);
        !self.cx.report.is_full()
    }
}

/// Where the value begins in `name=value`.
fn end_of_name(text: &[u8]) -> Option<usize> {
    let name = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    (name > 0 && text.get(name) == Some(&b'=') && text.len() > name + 1).then_some(name + 1)
}

/// Whether it has nothing in it that its form does not need; credentials are nobody's business.
fn is_as_structured(name: &str, value: &[u8]) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "host" | "content-type" | "content-length")
        || !traits::Class::of(value)
            .has(traits::BRACKET | traits::BRACE | traits::ANGLE | traits::DOLLAR | traits::SEPARATOR)
        || !value.iter().any(|byte| b"(){}<>$`|".contains(byte))
}

/// Headers whose form HTTP gives, which `detect::head` judges, or which hold what is checked elsewhere.
fn is_structured(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-type"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "upgrade"
            | "accept"
            | "accept-encoding"
            | "accept-language"
            | "accept-charset"
            | "authorization"
            | "proxy-authorization"
            | "proxy-connection"
            | "cache-control"
            | "pragma"
            | "date"
            | "expect"
            | "range"
            | "if-match"
            | "if-none-match"
            | "if-modified-since"
            | "if-unmodified-since"
            | "if-range"
            | "max-forwards"
            | "dnt"
            | "upgrade-insecure-requests"
            | "traceparent"
            | "tracestate"
            | "priority"
            | "signature"
            | "signature-input"
            | "digest"
            | "content-digest"
            | "content-md5"
            | "content-encoding"
    ) || name.starts_with("sec-")
}
