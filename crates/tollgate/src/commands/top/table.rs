//! Figures as rows of cells, which the screen and the plain text lay out each in its own way.

use gateway::status::BreakerStatus;
use gateway::upstream::breaker::State as Breaker;
use gateway::upstream::health::EndpointState;

use super::rates::{CallFigures, EndpointFigures, Flow, RouteFigures, ServiceFigures};
use super::text;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// On a screen; the first column takes what is left.
    pub(super) width: u16,
    /// Whether it holds words, which begin at its left.
    pub(super) is_text: bool,
    /// The higher, the earlier it goes when the screen is narrow; 0 stays.
    pub(super) goes: u8,
}

/// What a cell means: never told by a colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Good,
    Doubtful,
    Bad,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// A row; its cells are those of the columns, in their order.
pub(super) type Row = Vec<Cell>;

const fn words(title: &'static str, width: u16, goes: u8) -> Column {
    Column { title, width, is_text: true, goes }
}

const fn number(title: &'static str, width: u16, goes: u8) -> Column {
    Column { title, width, is_text: false, goes }
}

/// Of services and their endpoints.
pub(super) const SERVICES: [Column; 9] = [
    words("service", 0, 0),
    words("state", 12, 0),
    number("weight", 6, 4),
    number("req/s", 6, 0),
    number("err %", 5, 0),
    number("p50", 6, 2),
    number("p99", 6, 1),
    number("retry/s", 7, 3),
    number("idle", 5, 5),
];

/// Of routes.
pub(super) const ROUTES: [Column; 7] = [
    words("route", 0, 0),
    words("service", 14, 3),
    number("req/s", 6, 0),
    number("4xx/s", 6, 1),
    number("5xx/s", 6, 0),
    number("p50", 6, 2),
    number("p99", 6, 1),
];

/// A service and its endpoints.
pub(super) fn service(service: &ServiceFigures, endpoints: &[&EndpointFigures]) -> Vec<Row> {
    let (state, tone) = service.breaker.map_or(("", Tone::Plain), turned);
    let name = Cell { text: service.name.clone(), tone: Tone::Strong };
    let head = row(name, Cell { text: state.to_owned(), tone }, None, &service.calls);
    let mut rows = vec![head];
    rows.extend(endpoints.iter().map(|endpoint| {
        let (state, tone) = standing(endpoint);
        let url = plain(format!("  {}", endpoint.url));
        row(url, Cell { text: state, tone }, Some(endpoint.weight), &endpoint.calls)
    }));
    if service.endpoints_left_out > 0 {
        let mut more = vec![plain(format!("  and {} more", service.endpoints_left_out))];
        more.resize(SERVICES.len(), plain(String::new()));
        rows.push(more);
    }
    rows
}

/// A route.
pub(super) fn route(route: &RouteFigures) -> Row {
    let mut row = vec![plain(route_name(route)), plain(services(route))];
    let Some(flow) = route.flow else {
        row.resize(ROUTES.len(), plain(text::NONE.to_owned()));
        return row;
    };
    row.extend([
        plain(text::rate(flow.rate)),
        tell(text::rate(flow.classes[3]), flow.classes[3] > 0.0, Tone::Doubtful),
        tell(text::rate(flow.classes[4]), flow.classes[4] > 0.0, Tone::Bad),
        plain(text::quantile(flow.p50)),
        plain(text::quantile(flow.p99)),
    ]);
    row
}

/// Where its requests go.
fn services(route: &RouteFigures) -> String {
    if route.services.is_empty() { text::NONE.to_owned() } else { route.services.join(", ") }
}

/// The name of a route as it is shown.
pub(super) fn route_name(route: &RouteFigures) -> String {
    match (route.name.as_str(), route.api.as_str()) {
        ("", _) => "(no route)".to_owned(),
        ("other", "other") => "(all others)".to_owned(),
        (name, "") => name.to_owned(),
        (name, api) => format!("{name} ({api})"),
    }
}

fn row(name: Cell, state: Cell, weight: Option<u32>, calls: &CallFigures) -> Row {
    let none = || plain(text::NONE.to_owned());
    let of = |told: fn(&Flow) -> Cell| calls.flow.as_ref().map_or_else(none, told);
    vec![
        name,
        state,
        plain(weight.map_or_else(String::new, |weight| weight.to_string())),
        of(|flow| plain(text::rate(flow.rate))),
        of(|flow| tell(text::percent(flow.errors), flow.errors > 0.0, Tone::Bad)),
        of(|flow| plain(text::quantile(flow.p50))),
        of(|flow| plain(text::quantile(flow.p99))),
        calls.retries.map_or_else(none, |rate| tell(text::rate(rate), rate > 0.0, Tone::Doubtful)),
        plain(calls.idle.to_string()),
    ]
}

fn turned(breaker: BreakerStatus) -> (&'static str, Tone) {
    match breaker.state {
        Breaker::Closed => ("closed", Tone::Good),
        Breaker::HalfOpen => ("half-open", Tone::Doubtful),
        Breaker::Open => ("breaker open", Tone::Bad),
    }
}

fn standing(endpoint: &EndpointFigures) -> (String, Tone) {
    if let Some(breaker) = endpoint.breaker.filter(|breaker| breaker.state != Breaker::Closed) {
        let (state, tone) = turned(breaker);
        return (state.to_owned(), tone);
    }
    match endpoint.state {
        EndpointState::Up => ("up".to_owned(), Tone::Good),
        EndpointState::Returning => ("returning".to_owned(), Tone::Doubtful),
        EndpointState::Down => ("down".to_owned(), Tone::Bad),
        EndpointState::Out => {
            let left = endpoint.out_for.map(|seconds| format!(" {}", text::age(seconds.ceil())));
            (format!("out{}", left.unwrap_or_default()), Tone::Bad)
        }
    }
}

fn plain(text: String) -> Cell {
    Cell { text, tone: Tone::Plain }
}

fn tell(text: String, is_told: bool, tone: Tone) -> Cell {
    Cell { text, tone: if is_told { tone } else { Tone::Plain } }
}
