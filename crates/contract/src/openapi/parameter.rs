//! Parameters: texts in the path, the query, headers and cookies, which their styles make into values.

use http::header::HeaderName;
use serde_json::{Map, Value};

use super::document::At;
use super::headers::Headers;
use super::shape::Shape;
use crate::fault::Fault;
use crate::form::{self, Pair};
use crate::json;
use crate::violation::Place;

/// The most items or members of one parameter.
const MAX_ITEMS: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    Space,
    Pipe,
    Deep,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    /// For those that are headers.
    header: Option<HeaderName>,
    style: Style,
    explode: bool,
    pub(super) required: bool,
    may_be_empty: bool,
    /// Its text is JSON.
    is_json: bool,
    pub(super) shape: Shape,
    /// Its schema among the parts of the contract.
    pub(super) part: Option<usize>,
}

/// What the parameters of a request are read from.
pub(super) struct Source<'r> {
    pub(super) path: &'r [(String, &'r str)],
    pub(super) query: &'r [Pair<'r>],
    pub(super) headers: &'r dyn Headers,
    pub(super) cookies: &'r [Pair<'r>],
    /// Which pairs of the query some parameter has read.
    pub(super) read: &'r mut [bool],
}

impl Parameter {
    /// What a parameter of the document says, but for its schema; none for those that other parts of it describe.
    pub(super) fn of(at: &At<'_>) -> Result<Option<Self>, Fault> {
        let fault = |message: &str| Fault::new(at.pointer.as_str(), message);
        let name = at.text("name").ok_or_else(|| fault("has no name"))?;
        let place: fn(Box<str>) -> Place = match at.text("in") {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            _ => return Err(fault("has no `in: path`, `query`, `header` or `cookie`")),
        };
        let place = place(name.into());
        if matches!(place, Place::Header(_)) && is_described_elsewhere(name) {
            return Ok(None);
        }
        Self::at_place(at, name, place).map(Some)
    }

    /// A header of an answer.
    pub(super) fn of_header(at: &At<'_>, name: &str) -> Result<Option<Self>, Fault> {
        if name.eq_ignore_ascii_case("content-type") {
            return Ok(None);
        }
        Self::at_place(at, name, Place::Header(name.into())).map(Some)
    }

    fn at_place(at: &At<'_>, name: &str, place: Place) -> Result<Self, Fault> {
        let fault = |key: &str, message: String| Fault::new(format!("{}/{key}", at.pointer), message);
        let style = match (at.text("style"), &place) {
            (None | Some("simple"), Place::Path(_) | Place::Header(_)) => Style::Simple,
            (Some("label"), Place::Path(_)) => Style::Label,
            (Some("matrix"), Place::Path(_)) => Style::Matrix,
            (None | Some("form"), Place::Query(_) | Place::Cookie(_)) => Style::Form,
            (Some("spaceDelimited"), Place::Query(_)) => Style::Space,
            (Some("pipeDelimited"), Place::Query(_)) => Style::Pipe,
            (Some("deepObject"), Place::Query(_)) => Style::Deep,
            (_, place) => {
                return Err(fault("style", format!("is no style of a parameter in the {}", place.as_str())));
            }
        };
        let header = match &place {
            Place::Header(_) => {
                let name = HeaderName::try_from(name);
                Some(name.map_err(|_| fault("name", "is no name of a header".to_owned()))?)
            }
            _ => None,
        };
        let is_json = at.value.get("content").is_some();
        Ok(Self {
            name: name.to_owned(),
            header,
            style,
            explode: at.value.get("explode").and_then(Value::as_bool).unwrap_or(style == Style::Form),
            required: at.is("required") || matches!(place, Place::Path(_)),
            may_be_empty: at.is("allowEmptyValue"),
            is_json,
            shape: Shape::default(),
            part: None,
            place,
        })
    }

    /// Whether it is an object that takes whatever stands in the query.
    pub(super) fn takes_the_rest(&self) -> bool {
        matches!(self.place, Place::Query(_))
            && self.style == Style::Form
            && self.explode
            && self.shape.is_object()
    }

    /// The schema of the parameter: its own, or that of the one type its `content` lists.
    pub(super) fn schema<'d>(at: &At<'d>) -> Option<At<'d>> {
        let media = at.each_of("content").into_iter().next().map(|(_, media)| media);
        media.as_ref().unwrap_or(at).get("schema")
    }

    /// Its value in a request; none where it is not there. The error is a sentence.
    pub(super) fn read(&self, source: &mut Source<'_>) -> Result<Option<Value>, String> {
        match &self.place {
            Place::Path(_) => {
                let raw = source.path.iter().find(|(name, _)| *name == self.name).map(|(_, raw)| *raw);
                raw.map(|raw| self.path(raw)).transpose()
            }
            Place::Query(_) => self.query(source),
            Place::Header(_) => self.header(source.headers),
            Place::Cookie(_) | Place::Body => {
                let Some(raw) = self.single(source.cookies, None)? else { return Ok(None) };
                // Cookies are not percent-encoded by rule, so what cannot be decoded is taken as it is.
                self.delimited(&raw, ",", |text| {
                    Some(form::decode_path(text).unwrap_or_else(|| text.to_owned()))
                })
                .map(Some)
            }
        }
    }

    /// Its value among the headers of a message.
    pub(super) fn header(&self, headers: &dyn Headers) -> Result<Option<Value>, String> {
        let Some(name) = &self.header else { return Ok(None) };
        let (mut text, mut count, mut is_text) = (String::new(), 0, true);
        headers.each(name.as_str(), &mut |value| match std::str::from_utf8(value) {
            Ok(value) => {
                text.push_str(if count > 0 { "," } else { "" });
                text.push_str(value.trim());
                count += 1;
            }
            Err(_) => is_text = false,
        });
        if !is_text {
            return Err("is not UTF-8".to_owned());
        }
        if count == 0 {
            return Ok(None);
        }
        self.delimited(&text, ",", |text| Some(text.trim().to_owned())).map(Some)
    }

    fn path(&self, raw: &str) -> Result<Value, String> {
        let decode = form::decode_path;
        match self.style {
            Style::Label => {
                let raw = raw.strip_prefix('.').ok_or("must begin with `.`")?;
                self.delimited(raw, if self.explode { "." } else { "," }, decode)
            }
            Style::Matrix => {
                let raw = raw.strip_prefix(';').ok_or("must begin with `;`")?;
                let own = |piece: &'_ str| -> Result<String, String> {
                    let (name, text) = piece.split_once('=').unwrap_or((piece, ""));
                    if name == self.name {
                        Ok(text.to_owned())
                    } else {
                        Err("must be `;name=value`".to_owned())
                    }
                };
                if self.explode && self.shape.is_object() {
                    return self.delimited(raw, ";", decode);
                }
                if self.explode && self.shape.is_array() {
                    let items: Result<Vec<_>, _> = raw.split(';').map(own).collect();
                    return self.items(items?.iter().map(String::as_str), decode);
                }
                self.delimited(&own(raw)?, ",", decode)
            }
            _ => self.delimited(raw, ",", decode),
        }
    }

    fn query(&self, source: &mut Source<'_>) -> Result<Option<Value>, String> {
        let decode = form::decode;
        if self.is_json {
            let raw = self.single(source.query, Some(source.read))?;
            return raw.map(|raw| self.delimited(&raw, ",", decode)).transpose();
        }
        if self.style == Style::Deep || (self.style == Style::Form && self.explode && self.shape.is_object())
        {
            return self.members(source);
        }
        if self.shape.is_array() && self.explode {
            let mut raws = Vec::new();
            for (index, pair) in source.query.iter().enumerate().filter(|(_, pair)| pair.name == self.name) {
                source.read[index] = true;
                raws.push(&*pair.raw);
            }
            return if raws.is_empty() { Ok(None) } else { self.items(raws.into_iter(), decode).map(Some) };
        }
        let Some(raw) = self.single(source.query, Some(source.read))? else { return Ok(None) };
        if raw.is_empty() && self.may_be_empty {
            return Ok(None);
        }
        let raw = match self.style {
            Style::Space => raw.replace("%20", "+").replace(' ', "+"),
            Style::Pipe => raw.replace("%7C", "|").replace("%7c", "|"),
            _ => raw,
        };
        let delimiter = match self.style {
            Style::Space => "+",
            Style::Pipe => "|",
            _ => ",",
        };
        self.delimited(&raw, delimiter, decode).map(Some)
    }

    /// An object whose members are pairs of their own: `R=100&G=200`, or `color[R]=100&color[G]=200`.
    fn members(&self, source: &mut Source<'_>) -> Result<Option<Value>, String> {
        let mut object = Map::new();
        for (index, pair) in source.query.iter().enumerate() {
            let name = if self.style == Style::Deep {
                let inner =
                    pair.name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('['));
                inner.and_then(|rest| rest.strip_suffix(']'))
            } else {
                Some(pair.name.as_str()).filter(|name| {
                    self.shape.has_property(name) || (self.shape.is_open() && !source.read[index])
                })
            };
            let Some(name) = name else { continue };
            source.read[index] = true;
            let text = form::decode(&pair.raw).ok_or(NOT_TEXT)?;
            let shape = self.shape.property(name);
            // A member that is a list comes once for each item.
            match (shape.filter(|shape| shape.is_array()), object.get_mut(name)) {
                (Some(shape), None) => {
                    object.insert(name.to_owned(), Value::Array(vec![Shape::value_of(shape.item(), &text)]));
                }
                (Some(shape), Some(Value::Array(list))) => list.push(Shape::value_of(shape.item(), &text)),
                (None, None) => drop(object.insert(name.to_owned(), Shape::value_of(shape, &text))),
                _ => return Err(TWICE.to_owned()),
            }
        }
        Ok((!object.is_empty()).then_some(Value::Object(object)))
    }

    /// The text of what must come once.
    fn single(&self, pairs: &[Pair<'_>], read: Option<&mut [bool]>) -> Result<Option<String>, String> {
        let mut found = pairs.iter().enumerate().filter(|(_, pair)| pair.name == self.name);
        let Some((index, pair)) = found.next() else { return Ok(None) };
        if let Some(read) = read {
            read[index] = true;
            found.clone().for_each(|(index, _)| read[index] = true);
        }
        match found.next() {
            Some(_) => Err(TWICE.to_owned()),
            None => Ok(Some(pair.raw.clone().into_owned())),
        }
    }

    /// A value whose items or members stand between delimiters.
    fn delimited(
        &self,
        raw: &str,
        delimiter: &str,
        decode: fn(&str) -> Option<String>,
    ) -> Result<Value, String> {
        if self.is_json {
            let text = decode(raw).ok_or(NOT_TEXT)?;
            return json::read(text.as_bytes()).map_err(|error| format!("is not JSON: {error}"));
        }
        if self.shape.is_array() {
            let pieces = raw.split(delimiter).filter(|piece| !raw.is_empty() || !piece.is_empty());
            return self.items(pieces, decode);
        }
        if self.shape.is_object() {
            return self.object(raw, delimiter, decode);
        }
        Ok(self.shape.value(&decode(raw).ok_or(NOT_TEXT)?))
    }

    fn items<'t>(
        &self,
        raws: impl Iterator<Item = &'t str>,
        decode: fn(&str) -> Option<String>,
    ) -> Result<Value, String> {
        let mut list = Vec::new();
        for raw in raws {
            if list.len() == MAX_ITEMS {
                return Err(format!("has more than {MAX_ITEMS} items"));
            }
            let text = decode(raw).ok_or(NOT_TEXT)?;
            list.push(Shape::value_of(self.shape.item(), &text));
        }
        Ok(Value::Array(list))
    }

    /// `R,100,G,200`, or `R=100,G=200` where it is exploded.
    fn object(
        &self,
        raw: &str,
        delimiter: &str,
        decode: fn(&str) -> Option<String>,
    ) -> Result<Value, String> {
        let mut object = Map::new();
        let mut pieces = raw.split(delimiter).filter(|piece| !raw.is_empty() || !piece.is_empty());
        while let Some(piece) = pieces.next() {
            let (name, text) = if self.explode {
                piece.split_once('=').ok_or("must be pairs like `name=value`")?
            } else {
                (piece, pieces.next().ok_or("must be names and values by turns")?)
            };
            let (name, text) = (decode(name).ok_or(NOT_TEXT)?, decode(text).ok_or(NOT_TEXT)?);
            let value = Shape::value_of(self.shape.property(&name), &text);
            if object.len() == MAX_ITEMS || object.insert(name, value).is_some() {
                return Err("has too many members, or one twice".to_owned());
            }
        }
        Ok(Value::Object(object))
    }
}

/// The cookies of a request, in the order in which they came. The error is a sentence.
pub(super) fn cookies(headers: &dyn Headers) -> Result<Vec<Pair<'_>>, String> {
    let (mut list, mut fault) = (Vec::new(), None);
    headers.each("cookie", &mut |value| {
        let Ok(text) = std::str::from_utf8(value) else {
            fault = Some("is not UTF-8".to_owned());
            return;
        };
        for piece in text.split(';').map(str::trim).filter(|piece| !piece.is_empty()) {
            if list.len() == form::MAX_PAIRS {
                fault = Some(format!("has more than {} cookies", form::MAX_PAIRS));
                return;
            }
            let (name, raw) = piece.split_once('=').unwrap_or((piece, ""));
            let raw = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
            list.push(Pair { name: name.to_owned(), raw: raw.into() });
        }
    });
    fault.map_or(Ok(list), Err)
}

/// Headers that OpenAPI describes by other means (Parameter Object: "shall be ignored").
fn is_described_elsewhere(name: &str) -> bool {
    ["accept", "content-type", "authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

const NOT_TEXT: &str = "is not percent-encoded UTF-8";
const TWICE: &str = "is there more than once";
