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
    assert_eq!(account.used_in(6), 1, "that was of the one before");
    assert_eq!(account.unsettled(), [Some((5, 0, 1)), Some((6, 0, 1))]);
    assert_eq!(account.spend(6, u64::MAX, u64::MAX), Spent::Within(account::MOST));
}

#[test]
fn what_others_have_used_is_added_and_nothing_is_counted_twice() {
    let account = Account::default();
    account.spend(5, 3, u64::MAX);
    assert_eq!(account.unsettled(), [None, Some((5, 0, 3))]);
    // Requests come while it is being settled.
    account.spend(5, 2, u64::MAX);
    account.settle((5, 0, 3), 10);
    assert_eq!(account.used_in(5), 12);
    assert_eq!(account.unsettled(), [None, Some((5, 10, 12))]);
    account.settle((5, 10, 12), 12);
    assert_eq!(account.unsettled(), [None, None]);
}

#[test]
fn what_was_used_in_the_last_moments_of_a_period_is_settled_in_the_next() {
    let account = Account::default();
    account.spend(5, 3, u64::MAX);
    account.settle((5, 0, 3), 10);
    account.spend(5, 2, u64::MAX);
    account.spend(6, 1, u64::MAX);
    assert_eq!(account.unsettled(), [Some((5, 10, 12)), Some((6, 0, 1))]);
    // Whichever is settled first, also by an answer that comes after the period's end, and whether or not the other is.
    account.settle((6, 0, 1), 7);
    account.settle((5, 10, 12), 30);
    assert_eq!((account.unsettled(), account.used_in(6)), ([None, None], 7));
    account.give_back(5, 1);
    assert_eq!(account.unsettled(), [Some((5, 30, 29)), None]);
    // Two further periods of which one was never settled.
    account.spend(7, 4, u64::MAX);
    account.spend(8, 5, u64::MAX);
    assert_eq!(account.all(), [Some((7, 0, 4)), Some((8, 0, 5))]);
    account.settle((7, 0, 4), 4);
    account.settle((8, 0, 5), 5);
    assert_eq!(account.unsettled(), [None, None]);
    // A worker whose clock is late counts where it belongs, and no more than there is.
    assert_eq!([account.spend(7, 2, 7), account.spend(7, 2, 7)], [Spent::Within(6), Spent::Beyond(6)]);
    assert_eq!((account.used_in(7), account.used_in(8)), (6, 5));
    account.settle((7, 4, 6), 6);
    // What has been settled by others since is not settled again.
    account.settle((8, 4, 5), 99);
    assert_eq!((account.used_in(8), account.unsettled()), (5, [None, None]));
    // A clock that was set back, and has come to the same day again: what is known elsewhere is not known here any more.
    account.spend(6, 2, u64::MAX);
    assert_eq!(account.unsettled(), [None, Some((6, 0, 2))]);
    account.settle((6, 0, 2), 9);
    account.spend(8, 1, u64::MAX);
    assert_eq!(account.unsettled(), [None, Some((8, 0, 1))]);
}

#[test]
fn nothing_of_a_period_is_lost_when_threads_begin_the_next() {
    for _ in 0..100 {
        let (account, midnight) = (Account::default(), std::sync::Barrier::new(4));
        let spend = |day| assert!((0..50).all(|_| account.spend(day, 1, u64::MAX) != Spent::Beyond(0)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    spend(1);
                    midnight.wait();
                    spend(2);
                });
            }
        });
        assert_eq!(account.all(), [Some((1, 0, 200)), Some((2, 0, 200))]);
    }
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
    book.sweep(101 + LONGEST_PERIOD);
    assert_eq!(book.accounts.len(), 2, "they are not settled");
    for change in book.changes() {
        change.settled((change.known, change.used), change.used);
    }
    book.sweep(100 + LONGEST_PERIOD);
    assert_eq!(book.accounts.len(), 2);
    book.sweep(101 + LONGEST_PERIOD);
    assert_eq!(book.usage(101), [(app("new"), 1)]);
    assert_eq!(book.accounts.len(), 1);
    book.spend(&app("new"), 102, 1);
    book.sweep(102 + GIVEN_UP_AFTER);
    assert_eq!(book.accounts.len(), 1);
    book.sweep(103 + GIVEN_UP_AFTER);
    assert_eq!(book.accounts.len(), 0, "nobody ever settles them");
}

/// What happens to gateways that count together over one place.
#[derive(Debug, Clone)]
enum Event {
    /// In this period, or in the one before.
    Spend(usize, u64, u32),
    /// Takes back something of this period, or of the one before.
    GiveBack(usize, u32),
    Settle(usize),
    /// The gateway's next period begins.
    Turn(usize),
    /// The place forgets everything, and what was last settled is known to gateways only.
    Lose,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3_usize, 1..5_u64).prop_map(|(gateway, cost)| Event::Spend(gateway, cost, 0)),
        1 => (0..3_usize, 1..5_u64).prop_map(|(gateway, cost)| Event::Spend(gateway, cost, 1)),
        1 => (0..3_usize, 0..2_u32).prop_map(|(gateway, before)| Event::GiveBack(gateway, before)),
        4 => (0..3_usize).prop_map(Event::Settle),
        1 => (0..3_usize).prop_map(Event::Turn),
        1 => Just(Event::Lose),
    ]
}

/// What is known of each period.
type Sums = Model<u32, u64>;

/// As the store and Redis do it.
fn settle(account: &Account, place: &mut Sums) {
    for (day, known, used) in account.unsettled().into_iter().flatten() {
        let sum = place.entry(day).or_default();
        *sum = ((*sum).max(known) + used).saturating_sub(known);
        account.settle((day, known, used), *sum);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// When all have settled, and nothing was lost, the place knows what was spent in each period; at most too much by what was given
    /// back after others had heard of it.
    #[test]
    fn gateways_that_settle_with_one_place_come_to_one_sum(events in prop::collection::vec(event(), 1..60)) {
        let gateways: [Account; 3] = Default::default();
        let mut days = [10_u32; 3];
        let mut place = Sums::new();
        let mut spent: [Sums; 3] = Default::default();
        let (mut is_lost, mut given) = (false, Sums::new());
        for event in events {
            match event {
                Event::Spend(gateway, cost, late) => {
                    let account = &gateways[gateway];
                    // Whoever is late counts where others have counted.
                    let is_known = account.all().into_iter().flatten().any(|(day, ..)| day == days[gateway] - late);
                    let day = if is_known { days[gateway] - late } else { days[gateway] };
                    account.spend(day, cost, u64::MAX);
                    *spent[gateway].entry(day).or_default() += cost;
                }
                Event::GiveBack(gateway, before) => {
                    let day = days[gateway] - before;
                    let is_known = gateways[gateway].all().into_iter().flatten().any(|(known, ..)| known == day);
                    let sum = spent[gateway].entry(day).or_default();
                    if is_known && *sum > 0 {
                        gateways[gateway].give_back(day, 1);
                        *sum -= 1;
                        *given.entry(day).or_default() += 1;
                    }
                }
                Event::Settle(gateway) => settle(&gateways[gateway], &mut place),
                Event::Turn(gateway) => {
                    // What cannot be settled for a whole period is lost.
                    if gateways[gateway].unsettled()[0].is_some() {
                        settle(&gateways[gateway], &mut place);
                    }
                    days[gateway] += 1;
                }
                Event::Lose => {
                    is_lost = true;
                    place.clear();
                }
            }
        }
        for _ in 0..2 {
            for gateway in &gateways {
                settle(gateway, &mut place);
            }
        }
        let (first, last) = (10, *days.iter().max().unwrap());
        for day in first..=last {
            let all: u64 = spent.iter().filter_map(|sums| sums.get(&day)).sum();
            let (known, given) = (place.get(&day).copied().unwrap_or(0), given.get(&day).copied().unwrap_or(0));
            prop_assert!(is_lost || (all..=all + given).contains(&known), "{known} of {all}, {given} given back");
            for gateway in &gateways {
                prop_assert!(gateway.used_in(day) <= all + given, "nobody is charged for what nobody spent");
            }
        }
    }
}
