//! Screens and texts as a user sees them, and what keys do to them.

use std::time::Duration;

use gateway::config::values::Secret;
use gateway::status::{
    BreakerStatus, Calls, Connections, EndpointStatus, PoolStatus, Requests, RouteStatus, ServiceStatus,
    Status, Times,
};
use gateway::upstream::breaker::State as Breaker;
use gateway::upstream::health::EndpointState;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier, Style};

use super::address::{self, Address};
use super::client::Trouble;
use super::keys::{Next, press};
use super::plain;
use super::rates::Figures;
use super::state::State;
use super::view::draw;

fn times(count: u64) -> Times {
    Times { count, sum: 0.0, buckets: vec![(0.001, count / 2), (0.01, count), (0.1, count)] }
}

fn calls(good: u64, bad: u64) -> Calls {
    Calls {
        requests: Requests::of(&[0, good, 0, 0, bad]),
        first_byte_seconds: times(good + bad),
        retries: bad,
        pool: PoolStatus { idle: 3, ..PoolStatus::default() },
        ..Calls::default()
    }
}

fn endpoint(port: u16, state: EndpointState, calls: Calls) -> EndpointStatus {
    let out_for_seconds = (state == EndpointState::Out).then_some(11.2);
    EndpointStatus {
        url: format!("http://127.0.0.1:{port}"),
        state,
        out_for_seconds,
        calls,
        ..Default::default()
    }
}

fn service(
    name: &str,
    breaker: Option<Breaker>,
    calls: Calls,
    endpoints: Vec<EndpointStatus>,
) -> ServiceStatus {
    let breaker = breaker.map(|state| BreakerStatus { state, opened: 1, closed: 0 });
    ServiceStatus { name: name.to_owned(), breaker, calls, endpoints, ..ServiceStatus::default() }
}

fn route(name: &str, api: &str, service: Option<&str>, classes: [u64; 5]) -> RouteStatus {
    let requests = Requests::of(&classes);
    RouteStatus {
        name: name.to_owned(),
        api: api.to_owned(),
        services: service.map(str::to_owned).into_iter().collect(),
        duration_seconds: times(requests.total),
        requests,
        ..RouteStatus::default()
    }
}

/// A gateway that has served for so many seconds: everything it counts grows evenly.
fn reading(seconds: u64) -> Status {
    let up = |port, good, bad| endpoint(port, EndpointState::Up, calls(good * seconds, bad * seconds));
    Status {
        version: "0.1.0".to_owned(),
        pid: 7,
        uptime_seconds: seconds as f64,
        generation: 3,
        workers: 2,
        connections: Connections { open: 42, accepted: 50 },
        requests: Requests::of(&[0, 120, 0, 30, 10].map(|count| count * seconds)),
        routes: vec![
            route("GET /users/{id}", "", Some("users"), [0, 100 * seconds, 0, 0, 0]),
            route("GET /v1/orders/{id}", "shop", Some("orders"), [0, 0, 0, 0, 10 * seconds]),
            route("", "", None, [0, 0, 0, 30 * seconds, 0]),
        ],
        services: vec![
            service("orders", Some(Breaker::Open), calls(0, 0), vec![up(9004, 0, 0)]),
            service("products", Some(Breaker::HalfOpen), calls(0, 0), vec![up(9005, 0, 0)]),
            service(
                "users",
                Some(Breaker::Closed),
                calls(100 * seconds, seconds),
                vec![
                    up(9001, 100, 1),
                    endpoint(9002, EndpointState::Out, calls(0, 0)),
                    endpoint(9003, EndpointState::Down, calls(0, 0)),
                    endpoint(9006, EndpointState::Returning, calls(0, 0)),
                ],
            ),
        ],
        ..Status::default()
    }
}

fn there(token: Option<&str>) -> Address {
    Address {
        url: address::parse("127.0.0.1:9900").unwrap(),
        token: token.map(|token| Secret::parse(token).unwrap()),
    }
}

fn watching() -> State {
    let mut state = State::new(there(None), Duration::from_secs(1));
    state.read(Ok(reading(3600)));
    state.read(Ok(reading(3601)));
    state
}

struct Screen(TestBackend);

impl Screen {
    fn of(state: &mut State, width: u16, height: u16) -> Self {
        Self::drawn(state, width, height, true)
    }

    fn drawn(state: &mut State, width: u16, height: u16, is_colored: bool) -> Self {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state, is_colored)).unwrap();
        Self(terminal.backend().clone())
    }

    fn text(&self) -> String {
        let buffer = self.0.buffer();
        let lines = buffer.content().chunks(usize::from(buffer.area.width));
        lines
            .map(|cells| cells.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned() + "\n")
            .collect()
    }

    /// The style of the first letter of these words.
    #[track_caller]
    fn style(&self, words: &str) -> Style {
        let text = self.text();
        let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains(words)).expect(words);
        let column = line[..line.find(words).unwrap()].chars().count();
        self.0.buffer()[(column as u16, row as u16)].style()
    }

    #[track_caller]
    fn expect(&self, screen: &str) {
        let (found, wanted) = (self.text(), screen.strip_prefix('\n').unwrap());
        assert!(found.trim_end() == wanted.trim_end(), "found\n{found}\nwanted\n{wanted}");
    }
}

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn type_in(state: &mut State, keys: &str) {
    for letter in keys.chars() {
        assert_eq!(press(state, key(KeyCode::Char(letter))), Next::GoOn);
    }
}

#[test]
fn a_small_screen_shows_states_rates_and_routes() {
    let screen = Screen::of(&mut watching(), 80, 24);
    screen.expect(
        "
 tollgate 0.1.0  up 1h 0m  generation 3  2 workers
 160 req/s (2xx 120, 3xx 0, 4xx 30.0, 5xx 10.0), 6.2% errors, 42 connections
 service by name          state        weight  req/s err %    p50    p99 retry/s
 orders                   breaker open             0     0      -      -       0
   127.0.0.1:9004         up                1      0     0      -      -       0
 products                 half-open                0     0      -      -       0
   127.0.0.1:9005         up                1      0     0      -      -       0
 users                    closed                 101   1.0  1.1ms  9.8ms     1.0
   127.0.0.1:9001         up                1    101   1.0  1.1ms  9.8ms     1.0
   127.0.0.1:9002         out 12s           1      0     0      -      -       0
   127.0.0.1:9003         down              1      0     0      -      -       0
   127.0.0.1:9006         returning         1      0     0      -      -       0
 route by rate                 service         req/s  4xx/s  5xx/s    p50    p99
 GET /users/{id}               users             100      0      0  1.0ms  9.8ms
 (no route)                    -                30.0   30.0      0  1.0ms  9.8ms
 GET /v1/orders/{id} (shop)    orders           10.0      0   10.0  1.0ms  9.8ms







 q end  Tab table  / filter  o order  p pause  ? help   every 1s
",
    );
    for (words, color) in [
        ("breaker open", Color::Red),
        ("half-open", Color::Yellow),
        ("out 12s", Color::Red),
        ("down", Color::Red),
        ("returning", Color::Yellow),
        ("up    ", Color::Green),
    ] {
        assert_eq!(screen.style(words).fg, Some(color), "{words}");
    }
}

#[test]
fn a_large_screen_has_room_for_every_column() {
    let screen = Screen::of(&mut watching(), 120, 40).text();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>().join(" "),
        "service by name state weight req/s err % p50 p99 retry/s idle"
    );
    assert!(lines[8].ends_with("1.0     3"), "{screen}");
    assert!(lines.iter().all(|line| line.chars().count() <= 120));
    assert_eq!(lines.len(), 40);
    assert!(lines[39].starts_with(" q end"), "{screen}");
}

#[test]
fn without_colours_every_state_is_still_told() {
    let screen = Screen::drawn(&mut watching(), 80, 24, false);
    let buffer = screen.0.buffer();
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    for state in ["breaker open", "half-open", "closed", "out 12s", "down", "returning", "up "] {
        assert!(screen.text().contains(state), "{state}");
    }
}

#[test]
fn a_gateway_that_is_gone_leaves_its_last_figures_grey_until_it_is_back() {
    let mut state = watching();
    state.read(Err(Trouble::Unreachable("Connection refused".to_owned())));
    let screen = Screen::of(&mut state, 80, 24);
    let text = screen.text();
    assert!(
        text.contains("\n cannot reach http://127.0.0.1:9900: Connection refused; trying again\n"),
        "{text}"
    );
    assert!(text.contains("GET /users/{id}               users             100"), "{text}");
    let style = screen.style("GET /users");
    assert!(style.add_modifier.contains(Modifier::DIM), "{style:?}");
    assert_eq!(screen.style("breaker open").fg, Some(Color::Reset), "nobody knows");
    // Another process, whose counts begin anew.
    state.read(Ok(Status { pid: 8, ..reading(2) }));
    let text = Screen::of(&mut state, 80, 24).text();
    assert!(!text.contains("cannot reach"), "{text}");
    assert!(text.contains(" - req/s, - errors, 42 connections"), "{text}");
    state.read(Ok(Status { pid: 8, ..reading(3) }));
    assert!(Screen::of(&mut state, 80, 24).text().contains(" 160 req/s"));
}

#[test]
fn a_token_that_is_not_taken_says_how_to_give_one() {
    for (token, words) in [(None, "wants the admin token"), (Some("x"), "does not take this admin token")] {
        let mut state = State::new(there(token), Duration::from_secs(1));
        state.read(Err(Trouble::NotAllowed));
        let text = Screen::of(&mut state, 80, 24).text().replace("\n ", " ").replace('\n', " ");
        assert!(text.contains(words) && text.contains("TOLLGATE_ADMIN_TOKEN"), "{text}");
    }
}

#[test]
fn every_size_can_be_drawn() {
    let mut state = watching();
    let troubled = |state: &mut State| state.read(Err(Trouble::NotAllowed));
    for change in [|_: &mut State| {}, troubled, |state: &mut State| state.is_help = true] {
        change(&mut state);
        for (width, height) in
            (1..130).step_by(3).flat_map(|width| (1..30).map(move |height| (width, height)))
        {
            Screen::of(&mut state, width, height);
        }
    }
    assert_eq!(Screen::of(&mut state, 39, 24).text().trim_end(), "needs 40 x 10; q ends");
    let mut empty = State::new(there(None), Duration::from_secs(1));
    assert!(Screen::of(&mut empty, 40, 10).text().contains("q end"));
}

#[test]
fn a_table_that_is_too_long_moves_and_the_other_keeps_a_part() {
    let mut state = watching();
    let text = Screen::of(&mut state, 80, 12).text();
    assert!(text.contains(" service by name 1-4/9"), "{text}");
    assert!(text.contains(" route by rate"), "{text}");
    for (code, words) in [
        (KeyCode::Down, "2-5/9"),
        (KeyCode::PageDown, "5-8/9"),
        (KeyCode::End, "6-9/9"),
        (KeyCode::Down, "6-9/9"),
        (KeyCode::Up, "5-8/9"),
        (KeyCode::Home, "1-4/9"),
    ] {
        press(&mut state, key(code));
        let text = Screen::of(&mut state, 80, 12).text();
        assert!(text.contains(words), "{code:?}\n{text}");
    }
    press(&mut state, key(KeyCode::Tab));
    let text = Screen::of(&mut state, 80, 12).text();
    assert!(text.contains("GET /v1/orders") && text.contains("by name 1-4/9"), "{text}");
}

#[test]
fn a_filter_leaves_services_endpoints_and_routes_with_its_letters() {
    let mut state = watching();
    type_in(&mut state, "/ORD");
    let text = Screen::of(&mut state, 80, 24).text();
    assert!(text.contains(" only names with: ORD_"), "{text}");
    assert!(text.contains("127.0.0.1:9004") && text.contains("/v1/orders"), "{text}");
    assert!(!text.contains("users") && !text.contains("products"), "{text}");
    press(&mut state, key(KeyCode::Enter));
    assert!(Screen::of(&mut state, 80, 24).text().contains("Esc shows all"));
    press(&mut state, key(KeyCode::Esc));
    type_in(&mut state, "/9002q");
    press(&mut state, key(KeyCode::Backspace));
    let text = Screen::of(&mut state, 80, 24).text();
    assert!(text.contains(" users ") && text.contains(":9002") && !text.contains(":9001"), "{text}");
    press(&mut state, key(KeyCode::Esc));
    assert!(Screen::of(&mut state, 80, 24).text().contains("products"));
}

#[test]
fn each_table_has_an_order_of_its_own() {
    let mut state = watching();
    let first = |state: &mut State| {
        let text = Screen::of(state, 80, 24).text();
        let lines: Vec<&str> = text.lines().collect();
        let routes = lines.iter().position(|line| line.starts_with(" route by")).unwrap();
        [lines[2], lines[3], lines[routes], lines[routes + 1]].map(|line| line[..24].trim().to_owned())
    };
    let expect = |state: &mut State, expected: [&str; 4]| assert_eq!(first(state), expected);
    expect(&mut state, ["service by name", "orders", "route by rate", "GET /users/{id}"]);
    type_in(&mut state, "o");
    expect(&mut state, ["service by rate", "users", "route by rate", "GET /users/{id}"]);
    type_in(&mut state, "ro");
    expect(&mut state, ["service by rate", "users", "route by errors", "GET /v1/orders/{id} (sh"]);
    type_in(&mut state, "oo");
    expect(&mut state, ["service by rate", "users", "route by name", "(no route)"]);
}

#[test]
fn figures_that_are_held_still_go_on_behind() {
    let mut state = watching();
    type_in(&mut state, "p");
    state.read(Ok(reading(3700)));
    let text = Screen::of(&mut state, 80, 24).text();
    assert!(text.contains("PAUSED") && text.contains("up 1h 0m"), "{text}");
    type_in(&mut state, "p");
    state.read(Ok(reading(3701)));
    let text = Screen::of(&mut state, 80, 24).text();
    assert!(text.contains("up 1h 1m") && text.contains(" 160 req/s"), "{text}");
}

#[test]
fn help_covers_the_screen_until_a_key_and_q_and_ctrl_c_end_it() {
    let mut state = watching();
    type_in(&mut state, "?");
    assert!(Screen::of(&mut state, 80, 24).text().contains("keys and words"));
    type_in(&mut state, "x");
    assert!(!Screen::of(&mut state, 80, 24).text().contains("keys and words"));
    assert_eq!(press(&mut state, key(KeyCode::Char('q'))), Next::End);
    type_in(&mut state, "/q");
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(press(&mut state, interrupt), Next::End);
}

#[test]
fn the_text_has_whole_names_and_all_columns() {
    let figures = Figures::between(Some(&reading(3600)), &reading(3601));
    let text = plain::text(&figures, &there(None));
    assert_eq!(
        text,
        "\
tollgate 0.1.0 at http://127.0.0.1:9900, up 1h 0m, generation 3, 2 workers
160 req/s (2xx 120, 3xx 0, 4xx 30.0, 5xx 10.0), 6.2% errors, 42 open connections

service                  state         weight  req/s  err %    p50    p99  retry/s  idle
orders                   breaker open              0      0      -      -        0     3
  http://127.0.0.1:9004  up                 1      0      0      -      -        0     3
products                 half-open                 0      0      -      -        0     3
  http://127.0.0.1:9005  up                 1      0      0      -      -        0     3
users                    closed                  101    1.0  1.1ms  9.8ms      1.0     3
  http://127.0.0.1:9001  up                 1    101    1.0  1.1ms  9.8ms      1.0     3
  http://127.0.0.1:9002  out 12s            1      0      0      -      -        0     3
  http://127.0.0.1:9003  down               1      0      0      -      -        0     3
  http://127.0.0.1:9006  returning          1      0      0      -      -        0     3

route                       service  req/s  4xx/s  5xx/s    p50    p99
GET /users/{id}             users      100      0      0  1.0ms  9.8ms
GET /v1/orders/{id} (shop)  orders    10.0      0   10.0  1.0ms  9.8ms
(no route)                  -         30.0   30.0      0  1.0ms  9.8ms
"
    );
}

#[test]
fn what_the_gateway_left_out_is_said() {
    let mut status = reading(2);
    (status.routes_left_out, status.services_left_out, status.services[0].endpoints_left_out) = (7, 8, 9);
    let text = plain::text(&Figures::between(None, &status), &there(None));
    for words in ["\nand 7 more\n", "\nand 8 more\n", "\n  and 9 more\n"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let mut state = State::new(there(None), Duration::from_secs(1));
    state.read(Ok(status));
    let text = Screen::of(&mut state, 80, 24).text();
    for words in ["by rate, 7 more", "by name, 8 more", "  and 9 more"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}
