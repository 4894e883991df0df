//! The scripts beside models of limits, which remember every request that was let through.

use crate::buckets::tests::windows::Model;

use super::*;

/// One limit of a request.
#[derive(Debug, Clone)]
struct Kind {
    /// As the models know it.
    way: usize,
    /// Microseconds of a window, or between two tokens.
    micros: u64,
    count: u64,
}

/// One request: how much later than the one before, in thousandths of a limit's time or millionths, and what it costs of each.
type Arrival = (u64, bool, [u64; 3]);

fn kinds() -> impl Strategy<Value = Kind> {
    let few = |most: u64| (1..=most).prop_flat_map(|count| (count..5000 + count, Just(count)));
    // Up to a million a second for a day.
    let many = (17..=86_400_000_000_u64).prop_flat_map(|count| (count..=86_400_000_000, Just(count)));
    prop_oneof![
        (Just(0), few(40)),
        (Just(0), many.clone()),
        (Just(1), few(16)),
        (Just(2), few(60)),
        (Just(2), many),
        (Just(3), few(40)),
    ]
    .prop_map(|(way, (micros, count))| Kind { way, micros, count })
}

fn arrivals(most: usize) -> impl Strategy<Value = Vec<Arrival>> {
    let thousandths = prop_oneof![3 => Just(0), 3 => 0..50_u64, 2 => 0..1500_u64, 1 => 0..4000_u64];
    // Of the largest limits single requests use up nothing.
    let costs = prop::array::uniform3(prop_oneof![Just(1), 1..7_u64, 1..=86_400_000_000_u64]);
    prop::collection::vec((thousandths, any::<bool>(), costs), 1..most)
}

/// Limits that one request is for, beside their models.
struct Case {
    limits: Vec<(String, Rule, Model)>,
    now: u64,
}

impl Case {
    fn new(number: u64, kinds: &[Kind]) -> Self {
        let limit = |(place, kind): (usize, &Kind)| {
            let (rule, model) = Model::new(kind.way, kind.micros, kind.count);
            (format!("{number}-{place}"), rule, model)
        };
        Self { limits: kinds.iter().enumerate().map(limit).collect(), now: TODAY + number * 7_654_321_000 }
    }

    /// What the next request wants, when it comes.
    fn next(&mut self, (thousandths, is_fine, costs): Arrival) -> Vec<(String, Wanted)> {
        let span = self.limits.iter().map(|(_, rule, _)| rule.span()).max().unwrap_or_default();
        let parts = if is_fine { 1_000_000 } else { 1000 };
        self.now += u64::try_from(u128::from(span) * u128::from(thousandths) / parts).unwrap() / 1000 * 1000;
        let limits = self.limits.iter().zip(costs);
        limits
            .map(|((key, rule, _), cost)| (key.clone(), wanted(*rule, 1 + (cost - 1) % rule.quota())))
            .collect()
    }

    /// That this is the answer which the models give; then whether it is a yes.
    fn agrees(&mut self, of: &[(String, Wanted)], answer: &[u64]) -> Result<bool, TestCaseError> {
        let now = self.now;
        let lacks = |((_, _, model), (_, wanted)): (&(_, _, Model), &(_, Wanted))| {
            !model.would_admit(wanted.cost, now)
        };
        if let Some(at) = self.limits.iter().zip(of).position(lacks) {
            let (model, cost) = (&self.limits[at].2, of[at].1.cost);
            prop_assert_eq!(answer.len(), 3);
            prop_assert_eq!(answer[0], at as u64 + 1);
            prop_assert!(model.would_admit(cost, now + answer[1]), "it is too short");
            // The clock of Redis knows microseconds.
            prop_assert!(!model.would_admit(cost, now + answer[1] - answer[1].min(1000)), "it is too long");
            prop_assert_eq!(now + answer[2], model.full_at(now));
            return Ok(false);
        }
        let mut expected = vec![0, now / 1000, 1];
        for ((_, _, model), (_, wanted)) in self.limits.iter_mut().zip(of) {
            model.admits(wanted.cost, now);
            expected.extend([model.left(now), model.full_at(now) - now]);
        }
        prop_assert_eq!(answer, expected);
        Ok(true)
    }
}

fn by_name(of: &[(String, Wanted)]) -> Vec<(&str, Wanted)> {
    of.iter().map(|(key, wanted)| (key.as_str(), *wanted)).collect()
}

#[test]
fn redis_decides_about_limits_of_all_kinds_as_models_of_them() {
    let mut server = Server::start();
    let digests = [TAKE, TAKE_TOKENS].map(|script| server.load(script));
    let server = std::cell::RefCell::new(server);
    let number = std::cell::Cell::new(0);
    let mut runner =
        TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&(prop::collection::vec(kinds(), 1..=3), arrivals(25)), |(kinds, arrivals)| {
            number.set(number.get() + 1);
            let mut case = Case::new(number.get(), &kinds);
            let has_buckets_only =
                case.limits.iter().all(|(_, rule, _)| matches!(rule, Rule::TokenBucket(_)));
            let digest = &digests[usize::from(has_buckets_only)];
            let mut asked = Vec::new();
            let mut calls = redis::pipe();
            for arrival in arrivals {
                let of = case.next(arrival);
                calls.add_command(call(digest, 1, &by_name(&of), case.now));
                asked.push((case.now, of));
            }
            let answers: Vec<Value> = calls.query(&mut server.borrow_mut().connection).unwrap();
            prop_assert_eq!(answers.len(), asked.len());
            for ((now, of), answer) in asked.iter().zip(&answers) {
                case.now = *now;
                case.agrees(of, &numbers_of(answer))?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_given_back_late_was_never_taken() {
    let mut server = Server::start();
    let (take, give) = (server.load(TAKE), server.load(GIVE));
    let server = std::cell::RefCell::new(server);
    let number = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    let late = prop::collection::vec(prop::option::of(0..1500_u64), 15);
    runner
        .run(&(prop::collection::vec(kinds(), 1..=2), arrivals(15), late), |(kinds, arrivals, late)| {
            number.set(number.get() + 1);
            let mut case = Case::new(number.get(), &kinds);
            let ask =
                |call: redis::Cmd| -> Value { call.query(&mut server.borrow_mut().connection).unwrap() };
            for (arrival, late) in arrivals.into_iter().zip(late) {
                let of = case.next(arrival);
                let answer = ask(call(&take, 1, &by_name(&of), case.now));
                let is_taken = case.agrees(&of, &numbers_of(&answer))?;
                if let Some(late) = late.filter(|_| is_taken) {
                    let then = case.now;
                    case.next((late, false, [1; 3]));
                    ask(call(&give, then / 1000, &by_name(&of), case.now));
                    let now = case.now;
                    for ((_, _, model), (_, wanted)) in case.limits.iter_mut().zip(&of) {
                        model.forget(wanted.cost, then, now);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}
