//! The state as a screen. Nothing is told by a colour alone, and without colours (<https://no-color.org>) none is used.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::keys::HELP;
use super::rates::Figures;
use super::state::{State, Table};
use super::table::{Cell, Column, ROUTES, Row, SERVICES, Tone};
use super::{plain, text};

/// What is shown needs this much room.
const SMALLEST: (u16, u16) = (40, 10);

/// The first column of a table has at least this much, or another one goes.
const NAME: u16 = 22;

/// Draws it all. Remembered is how many rows there are and fit, for the keys.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, is_colored: bool) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        frame.render_widget(format!("needs {width} x {height}; q ends"), area);
        return;
    }
    let theme = Theme { is_colored, is_old: state.trouble.is_some() };
    let mut head = vec![title(state, theme), summary(state, theme)];
    head.extend(state.trouble.as_ref().map(|trouble| {
        let told = format!(" {}; trying again", trouble.told(&state.address));
        Line::styled(told, theme.now(Tone::Bad).add_modifier(Modifier::BOLD))
    }));
    // A trouble may be longer than a line.
    let needed: u16 = head.iter().map(|line| line.width().div_ceil(usize::from(area.width)) as u16).sum();
    let needed = needed.clamp(2, area.height / 2);
    let [top, body, bottom] =
        Layout::vertical([Constraint::Length(needed), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(head).wrap(ratatui::widgets::Wrap { trim: false }), top);
    tables(frame, body, state, theme);
    frame.render_widget(keys(state, theme), bottom);
    if state.is_help {
        help(frame, area);
    }
}

/// How things are coloured.
#[derive(Clone, Copy)]
struct Theme {
    is_colored: bool,
    /// Figures that are not those of now are grey.
    is_old: bool,
}

impl Theme {
    /// Of a figure.
    fn of(self, tone: Tone) -> Style {
        if self.is_old { Style::new().add_modifier(Modifier::DIM) } else { self.now(tone) }
    }

    /// Of what holds now in any case.
    fn now(self, tone: Tone) -> Style {
        let color = match tone {
            Tone::Plain | Tone::Strong => Color::Reset,
            Tone::Good => Color::Green,
            Tone::Doubtful => Color::Yellow,
            Tone::Bad => Color::Red,
        };
        let style = if self.is_colored { Style::new().fg(color) } else { Style::new() };
        if matches!(tone, Tone::Strong | Tone::Bad) { style.add_modifier(Modifier::BOLD) } else { style }
    }
}

fn title(state: &State, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::styled(" tollgate", theme.now(Tone::Strong))];
    if let Some(figures) = &state.figures {
        let Figures { version, uptime, generation, workers, .. } = figures;
        let age = text::age(*uptime);
        let workers = text::count(*workers as u64, "worker");
        spans.push(Span::styled(
            format!(" {version}  up {age}  generation {generation}  {workers}"),
            theme.of(Tone::Plain),
        ));
        if figures.is_draining {
            spans.push(Span::styled("  DRAINING", theme.of(Tone::Doubtful)));
        }
    }
    if state.is_paused {
        spans.push(Span::styled("  PAUSED", theme.now(Tone::Doubtful).add_modifier(Modifier::BOLD)));
    }
    Line::from(spans)
}

fn summary(state: &State, theme: Theme) -> Line<'static> {
    let Some(figures) = &state.figures else { return Line::default() };
    let (flow, errors) = plain::summary(figures.all);
    let tone = if figures.all.is_some_and(|flow| flow.errors > 0.0) { Tone::Bad } else { Tone::Plain };
    let open = text::count(figures.open, "connection");
    Line::from(vec![
        Span::styled(format!(" {flow}, "), theme.of(Tone::Plain)),
        Span::styled(errors, theme.of(tone)),
        Span::styled(format!(", {open}"), theme.of(Tone::Plain)),
    ])
}

fn tables(frame: &mut Frame<'_>, area: Rect, state: &mut State, theme: Theme) {
    let (services, routes) = (state.service_rows(), state.route_rows());
    let (service_lines, route_lines) = (services.len() as u16, routes.len() as u16);
    let heights = share(area.height, service_lines, route_lines, state.focus);
    let [above, below] =
        Layout::vertical([Constraint::Length(heights.0), Constraint::Length(heights.1)]).areas(area);
    let left_out = state.figures.as_ref().map_or((0, 0), |it| (it.services_left_out, it.routes_left_out));
    for (which, area, rows, left_out) in
        [(Table::Services, above, services, left_out.0), (Table::Routes, below, routes, left_out.1)]
    {
        let (look, columns): (_, &[Column]) = match which {
            Table::Services => (&mut state.services, &SERVICES),
            Table::Routes => (&mut state.routes, &ROUTES),
        };
        look.rows = rows.len();
        look.height = usize::from(area.height.saturating_sub(1));
        look.settle();
        let last = (look.first + look.height).min(look.rows);
        let mut title = format!(" {} by {}", columns[0].title, look.sort.name());
        if look.rows > look.height && look.height > 0 {
            title = format!("{title} {}-{last}/{}", look.first + 1, look.rows);
        }
        if left_out > 0 {
            title = format!("{title}, {left_out} more");
        }
        let shown = &rows[look.first..last];
        table(frame, area, &title, columns, shown, state.focus == which, theme);
    }
}

/// Lines for both tables, their heads included: what they need, or else the one in focus gets more.
fn share(height: u16, services: u16, routes: u16, focus: Table) -> (u16, u16) {
    let (services, routes) = (services.saturating_add(1), routes.saturating_add(1));
    if services.saturating_add(routes) <= height {
        return (services, height - services);
    }
    let larger = height * 3 / 5;
    let (focused, other) = if focus == Table::Services { (services, routes) } else { (routes, services) };
    // Neither gets more than it needs while the other lacks it.
    let other = other.min((height - larger).max(height.saturating_sub(focused)));
    let focused = height - other;
    if focus == Table::Services { (focused, other) } else { (other, focused) }
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    columns: &[Column],
    rows: &[Row],
    is_focused: bool,
    theme: Theme,
) {
    let widths = widths(columns, area.width);
    let titles = columns.iter().enumerate().map(|(place, column)| {
        let text = if place == 0 { title.to_owned() } else { column.title.to_owned() };
        Span::raw(fit(&text, widths[place], column.is_text))
    });
    let look = if is_focused { Modifier::REVERSED } else { Modifier::UNDERLINED };
    let mut lines =
        vec![Line::from(spaced(titles, &widths)).style(Style::new().add_modifier(look | Modifier::BOLD))];
    lines.extend(rows.iter().map(|row| {
        let cells = row.iter().zip(columns).enumerate().map(|(place, (cell, column))| {
            let Cell { text, tone } = cell;
            // The usual scheme is left out: it takes room, and says nothing.
            let text =
                if place == 0 { format!(" {}", text.replacen("http://", "", 1)) } else { text.clone() };
            Span::styled(fit(&text, widths[place], column.is_text), theme.of(*tone))
        });
        Line::from(spaced(cells, &widths))
    }));
    frame.render_widget(Paragraph::new(lines), area);
}

/// How wide each column is; 0 for one that is left out.
fn widths(columns: &[Column], width: u16) -> Vec<u16> {
    let mut widths: Vec<u16> = columns.iter().map(|column| column.width).collect();
    let taken =
        |widths: &[u16]| widths.iter().filter(|width| **width > 0).map(|width| width + 1).sum::<u16>();
    while taken(&widths) + NAME > width {
        let next = (0..columns.len())
            .filter(|place| widths[*place] > 0 && columns[*place].goes > 0)
            .max_by_key(|place| columns[*place].goes);
        let Some(next) = next else { break };
        widths[next] = 0;
    }
    widths[0] = width.saturating_sub(taken(&widths));
    widths
}

/// The cells that have a width, with a blank between them.
fn spaced<'a>(cells: impl Iterator<Item = Span<'a>>, widths: &[u16]) -> Vec<Span<'a>> {
    let shown = cells.zip(widths).filter(|(_, width)| **width > 0);
    let mut spans: Vec<Span<'a>> = shown.flat_map(|(cell, _)| [Span::raw(" "), cell]).collect();
    spans.remove(0);
    spans
}

/// A text in exactly so many columns; what is cut off is marked.
fn fit(text: &str, width: u16, is_text: bool) -> String {
    let width = usize::from(width);
    let taken = Span::raw(text).width();
    if taken <= width {
        let blanks = " ".repeat(width - taken);
        return if is_text { format!("{text}{blanks}") } else { format!("{blanks}{text}") };
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if Span::raw(&*kept).width() + 1 > width {
            kept.pop();
            break;
        }
    }
    let blanks = width.saturating_sub(Span::raw(&*kept).width() + 1);
    format!("{kept}\u{2026}{}", " ".repeat(blanks))
}

fn keys(state: &State, theme: Theme) -> Line<'static> {
    if state.is_typing {
        return Line::styled(format!(" only names with: {}_", state.filter), theme.now(Tone::Strong));
    }
    if !state.filter.is_empty() {
        let told = format!(" only names with \"{}\"; Esc shows all, / changes it", state.filter);
        return Line::styled(told, theme.now(Tone::Strong));
    }
    let every = values_of(state.every);
    Line::styled(
        format!(" q end  Tab table  / filter  o order  p pause  ? help   every {every}"),
        theme.of(Tone::Plain),
    )
}

fn values_of(time: std::time::Duration) -> String {
    gateway::config::values::Duration::from_millis(time.as_millis() as u64).to_string()
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> =
        HELP.iter().map(|(key, what)| Line::raw(format!(" {key:<18} {what}"))).collect();
    let (width, height) = (66.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" keys and words ").title_alignment(Alignment::Center);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
