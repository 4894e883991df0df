//! Accounts and how they are settled, also against a model.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap as Model;

use proptest::prelude::*;

use super::*;

fn book() -> Arc<Book> {
    Quotas::default().book(Title { place: "defaults".into(), name: "app-day".into() })
}

fn app(name: &str) -> Who {
    Who::named("app", name).unwrap()
}

#[test]
fn no_more_is_counted_than_may_be_used() {
    let account = Account::default();
    assert_eq!(account.spend(5, 3, 4), Spent::Within(3));
    assert_eq!(account.spend(5, 2, 4), Spent::Beyond(3));
    assert_eq!(account.spend(5, 1, 4), Spent::Within(4));
    account.give_back(5, 2);
    assert_eq!(account.used_in(5), 2);
    assert_eq!(account.spend(6, 1, 4), Spent::Within(1), "another period begins with nothing");
    account.give_back(5, 1);
    assert_eq!(account.used_in(6), 1, "what belonged to the one before is gone");
    assert_eq!(account.spend(6, u64::MAX, u64::MAX), Spent::Within(account::MOST));
}

#[test]
fn what_others_have_used_is_added_and_nothing_is_counted_twice() {
    let account = Account::default();
    account.spend(5, 3, u64::MAX);
    assert_eq!(account.unsettled(), Some((5, 0, 3)));
    // Requests come while it is being settled.
    account.spend(5, 2, u64::MAX);
    account.settle(5, 3, 10);
    assert_eq!(account.used_in(5), 12);
    assert_eq!(account.unsettled(), Some((5, 10, 12)));
    account.settle(5, 12, 12);
    assert_eq!(account.unsettled(), None);
    // An answer that comes after the period's end is of no use.
    account.spend(6, 1, u64::MAX);
    account.settle(5, 12, 99);
    assert_eq!((account.used_in(6), account.unsettled()), (1, Some((6, 0, 1))));
}

#[test]
fn many_threads_spend_exactly_what_there_is() {
    let book = book();
    let spent: usize = std::thread::scope(|scope| {
        let spend = || {
            (0..5000)
                .filter(|_| {
                    matches!(
                        book.account(1, b"mobile", |account| account.spend(1, 1, 9000)),
                        Spent::Within(_)
                    )
                })
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(spent, 9000);
    assert_eq!(book.usage(1), [(app("mobile"), 9000)]);
}

#[test]
fn accounts_are_forgotten_when_no_period_of_theirs_can_last() {
    let book = book();
    book.spend(&app("old"), 100, 1);
    book.spend(&app("new"), 101, 1);
    book.sweep(100 + LONGEST_PERIOD);
    assert_eq!(book.accounts.len(), 2);
    book.sweep(101 + LONGEST_PERIOD);
    assert_eq!(book.usage(101), [(app("new"), 1)]);
    assert_eq!(book.accounts.len(), 1);
}

/// What happens to gateways that count together over one place.
#[derive(Debug, Clone)]
enum Event {
    Spend(usize, u64),
    GiveBack(usize),
    Settle(usize),
    /// The place forgets everything, and what was last settled is known to gateways only.
    Lose,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3_usize, 1..5_u64).prop_map(|(gateway, cost)| Event::Spend(gateway, cost)),
        1 => (0..3_usize).prop_map(Event::GiveBack),
        4 => (0..3_usize).prop_map(Event::Settle),
        1 => Just(Event::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// When all have settled, and nothing was lost, the place knows what was spent; at most too much by what was given back after
    /// others had heard of it.
    #[test]
    fn gateways_that_settle_with_one_place_come_to_one_sum(events in prop::collection::vec(event(), 1..60)) {
        let gateways: [Account; 3] = Default::default();
        let mut place: Option<u64> = None;
        let mut spent: Model<usize, u64> = Model::new();
        let (mut is_lost, mut given) = (false, 0);
        let settle = |account: &Account, place: &mut Option<u64>| {
            let Some((day, known, used)) = account.unsettled() else { return };
            // As the store and Redis do it.
            let total = (place.unwrap_or(0).max(known) + used).saturating_sub(known);
            *place = Some(total);
            account.settle(day, used, total);
        };
        for event in events {
            match event {
                Event::Spend(gateway, cost) => {
                    gateways[gateway].spend(1, cost, u64::MAX);
                    *spent.entry(gateway).or_default() += cost;
                }
                Event::GiveBack(gateway) => {
                    if spent.get(&gateway).is_some_and(|spent| *spent > 0) {
                        gateways[gateway].give_back(1, 1);
                        *spent.entry(gateway).or_default() -= 1;
                        given += 1;
                    }
                }
                Event::Settle(gateway) => settle(&gateways[gateway], &mut place),
                Event::Lose => {
                    is_lost = true;
                    place = None;
                }
            }
        }
        let all: u64 = spent.values().sum();
        for _ in 0..2 {
            for gateway in &gateways {
                settle(gateway, &mut place);
            }
        }
        if !is_lost {
            let known = place.unwrap_or(0);
            prop_assert!((all..=all + given).contains(&known), "{known} of {all}, {given} given back");
        }
        for gateway in &gateways {
            prop_assert!(gateway.used_in(1) <= all + given, "nobody is charged for what nobody spent");
        }
    }
}
