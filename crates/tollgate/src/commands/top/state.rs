//! What is shown, and how: changed by readings and by keys, read by the view.

use std::time::Duration;

use gateway::status::Status;

use super::address::Address;
use super::client::Trouble;
use super::rates::{CallFigures, EndpointFigures, Figures, Flow, Quantile, RouteFigures, ServiceFigures};
use super::table;

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) address: Address,
    pub(super) every: Duration,
    /// The last ones, which stay while nobody answers.
    pub(super) figures: Option<Figures>,
    pub(super) trouble: Option<Trouble>,
    pub(super) focus: Table,
    pub(super) services: Look,
    pub(super) routes: Look,
    pub(super) filter: String,
    /// Whether keys go into the filter.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    pub(super) is_help: bool,
    before: Option<Status>,
}

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Services,
    Routes,
}

/// How a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) sort: Sort,
    /// The first row that is shown.
    pub(super) first: usize,
    /// Rows that fit, as of the last time it was drawn.
    pub(super) height: usize,
    /// Rows there are.
    pub(super) rows: usize,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Rate,
    Errors,
    P99,
}

impl State {
    pub(super) fn new(address: Address, every: Duration) -> Self {
        let look = |sort| Look { sort, first: 0, height: 0, rows: 0 };
        Self {
            address,
            every,
            figures: None,
            trouble: None,
            focus: Table::Services,
            services: look(Sort::Name),
            routes: look(Sort::Rate),
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            is_help: false,
            before: None,
        }
    }

    /// Takes a reading in. Figures that are paused stay, and so do those before a trouble.
    pub(super) fn read(&mut self, reading: Result<Status, Trouble>) {
        match reading {
            Ok(status) => {
                self.trouble = None;
                if !self.is_paused || self.figures.is_none() {
                    self.figures = Some(Figures::between(self.before.as_ref(), &status));
                }
                self.before = Some(status);
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// How the table in focus is looked at.
    pub(super) fn look(&mut self) -> &mut Look {
        match self.focus {
            Table::Services => &mut self.services,
            Table::Routes => &mut self.routes,
        }
    }

    /// The rows of services that the filter leaves, with those of their endpoints: all of them where the name of the service
    /// is found, else those whose URL has it.
    pub(super) fn service_rows(&self) -> Vec<table::Row> {
        let Some(figures) = &self.figures else { return Vec::new() };
        let mut found: Vec<(&ServiceFigures, Vec<&EndpointFigures>)> = figures
            .services
            .iter()
            .filter_map(|service| {
                let all = service.endpoints.iter();
                if self.is_wanted(&service.name) {
                    return Some((service, all.collect()));
                }
                let found: Vec<_> = all.filter(|endpoint| self.is_wanted(&endpoint.url)).collect();
                (!found.is_empty()).then_some((service, found))
            })
            .collect();
        let flow = |calls: &CallFigures| calls.flow;
        found.sort_by(|(one, _), (other, _)| {
            self.services.sort.order((&one.name, flow(&one.calls)), (&other.name, flow(&other.calls)))
        });
        found.iter().flat_map(|(service, endpoints)| table::service(service, endpoints)).collect()
    }

    /// The rows of routes that the filter leaves.
    pub(super) fn route_rows(&self) -> Vec<table::Row> {
        let Some(figures) = &self.figures else { return Vec::new() };
        let is_wanted = |route: &&RouteFigures| {
            self.is_wanted(&table::route_name(route))
                || route.services.iter().any(|service| self.is_wanted(service))
        };
        let mut found: Vec<&RouteFigures> = figures.routes.iter().filter(is_wanted).collect();
        found.sort_by(|one, other| self.routes.sort.order((&one.name, one.flow), (&other.name, other.flow)));
        found.into_iter().map(table::route).collect()
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.filter.is_empty() || name.to_lowercase().contains(&self.filter.to_lowercase())
    }
}

impl Look {
    /// Moves by so many rows, as far as there are any.
    pub(super) fn scroll(&mut self, rows: isize) {
        self.first = self.first.saturating_add_signed(rows);
        self.settle();
    }

    /// Holds the last row at the lower end.
    pub(super) fn settle(&mut self) {
        self.first = self.first.min(self.rows.saturating_sub(self.height));
    }
}

impl Sort {
    /// The next one.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Name => Self::Rate,
            Self::Rate => Self::Errors,
            Self::Errors => Self::P99,
            Self::P99 => Self::Name,
        }
    }

    /// In a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "rate",
            Self::Errors => "errors",
            Self::P99 => "p99",
        }
    }

    /// The largest first; what is alike by name.
    fn order(self, one: (&str, Option<Flow>), other: (&str, Option<Flow>)) -> std::cmp::Ordering {
        let key = |flow: Option<Flow>| match (self, flow) {
            (Self::Name, _) => 0.0,
            (_, None) => -1.0,
            (Self::Rate, Some(flow)) => flow.rate,
            (Self::Errors, Some(flow)) => flow.errors * flow.rate,
            (Self::P99, Some(flow)) => flow.p99.map_or(0.0, Quantile::seconds),
        };
        key(other.1).total_cmp(&key(one.1)).then_with(|| one.0.cmp(other.0))
    }
}
