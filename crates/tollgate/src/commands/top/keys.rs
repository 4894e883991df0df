//! What keys do to the state.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::state::{State, Table};

/// Characters of a filter.
const LONGEST_FILTER: usize = 100;

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    End,
}

/// What there is, for who asks.
pub(super) const HELP: [(&str, &str); 10] = [
    ("q  Ctrl-C", "end"),
    ("Tab  s  r", "the other table, services, routes"),
    ("up down PgUp PgDn", "move in the table"),
    ("Home End", "to its first or last row"),
    ("/", "show only names that have these letters"),
    ("Esc", "show all names again"),
    ("o", "order: name, rate, errors, p99"),
    ("p", "hold the figures still, or let them go on"),
    ("up", "takes requests; returning: takes some again"),
    ("out / down", "failed too often / its checks fail"),
];

/// Takes a key in.
pub(super) fn press(state: &mut State, key: KeyEvent) -> Next {
    if key.kind == KeyEventKind::Release {
        return Next::GoOn;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && key.code == KeyCode::Char('c') {
        return Next::End;
    }
    if is_control || key.modifiers.contains(KeyModifiers::ALT) {
        return Next::GoOn;
    }
    if state.is_typing {
        type_filter(state, key.code);
        return Next::GoOn;
    }
    if key.code == KeyCode::Char('q') {
        return Next::End;
    }
    if state.is_help {
        state.is_help = false;
        return Next::GoOn;
    }
    let page = isize::try_from(state.look().height.max(2) - 1).unwrap_or(1);
    match key.code {
        KeyCode::Tab | KeyCode::BackTab => {
            state.focus = match state.focus {
                Table::Services => Table::Routes,
                Table::Routes => Table::Services,
            }
        }
        KeyCode::Char('s') => state.focus = Table::Services,
        KeyCode::Char('r') => state.focus = Table::Routes,
        KeyCode::Down | KeyCode::Char('j') => state.look().scroll(1),
        KeyCode::Up | KeyCode::Char('k') => state.look().scroll(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => state.look().scroll(page),
        KeyCode::PageUp => state.look().scroll(-page),
        KeyCode::Home => state.look().scroll(isize::MIN),
        KeyCode::End => state.look().scroll(isize::MAX),
        KeyCode::Char('o') => {
            let look = state.look();
            (look.sort, look.first) = (look.sort.next(), 0);
        }
        KeyCode::Char('p') => state.is_paused = !state.is_paused,
        KeyCode::Char('/') => state.is_typing = true,
        KeyCode::Esc => state.filter.clear(),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => state.is_help = true,
        _ => {}
    }
    Next::GoOn
}

fn type_filter(state: &mut State, key: KeyCode) {
    match key {
        KeyCode::Enter => state.is_typing = false,
        KeyCode::Esc => {
            state.is_typing = false;
            state.filter.clear();
        }
        KeyCode::Backspace => {
            state.filter.pop();
        }
        KeyCode::Char(letter) if state.filter.chars().count() < LONGEST_FILTER => state.filter.push(letter),
        _ => {}
    }
    (state.services.first, state.routes.first) = (0, 0);
}
