//! What the samples know, in memory: records that look like a small shop's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::Sample;

/// The most records of one service; adding more is refused.
const MAX_RECORDS: usize = 1000;

/// One service's records: JSON objects with an `id`, in the order in which they came.
#[derive(Debug)]
pub(super) struct Records {
    list: Mutex<Vec<Value>>,
}

impl Records {
    /// What `sample` starts with.
    pub(super) fn of(sample: Sample) -> Self {
        let list = match sample {
            Sample::Users => vec![
                json!({ "id": 1, "name": "Ada", "email": "ada@example.com", "payment_id": "card-1" }),
                json!({ "id": 2, "name": "Bo", "email": "bo@example.com", "payment_id": "card-2" }),
                json!({ "id": 3, "name": "Cy", "email": "cy@example.com", "payment_id": "invoice-3" }),
            ],
            Sample::Orders => vec![
                json!({ "id": 1, "user": 1, "product": "books/rust", "count": 1, "total": "39.00" }),
                json!({ "id": 2, "user": 1, "product": "games/chess", "count": 2, "total": "58.00" }),
                json!({ "id": 3, "user": 2, "product": "books/http", "count": 1, "total": "25.00" }),
            ],
            Sample::Products => vec![
                json!({ "id": "books/rust", "name": "Rust, slowly", "price": "39.00", "stock": 7 }),
                json!({ "id": "books/http", "name": "HTTP, twice", "price": "25.00", "stock": 2 }),
                json!({ "id": "games/chess", "name": "Chess", "price": "29.00", "stock": 12 }),
            ],
        };
        Self { list: Mutex::new(list) }
    }

    /// The record with this id.
    pub(super) fn find(&self, id: &str) -> Option<Value> {
        self.list().iter().find(|record| reads(&record["id"], id)).cloned()
    }

    /// The records whose `field` reads as `value`.
    pub(super) fn with(&self, field: &str, value: &str) -> Vec<Value> {
        self.list().iter().filter(|record| reads(&record[field], value)).cloned().collect()
    }

    /// The records whose ids lie under the path `folder`; under the empty one lie all.
    pub(super) fn under(&self, folder: &str) -> Vec<Value> {
        let is_under = |id: &Value| {
            let rest = id.as_str().and_then(|id| id.strip_prefix(folder));
            folder.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.list().iter().filter(|record| is_under(&record["id"])).cloned().collect()
    }

    /// Adds a record under the next number, which replaces any `id` it brings, and returns it; none if there are
    /// too many.
    pub(super) fn add(&self, mut record: Map<String, Value>) -> Option<Value> {
        let mut list = self.list();
        if list.len() >= MAX_RECORDS {
            return None;
        }
        record.remove("id");
        let mut numbered = Map::from_iter([("id".to_owned(), json!(list.len() + 1))]);
        numbered.append(&mut record);
        let record = Value::Object(numbered);
        list.push(record.clone());
        Some(record)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Value>> {
        // Nothing is left half done under the lock.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `value`, as it would stand in a path, is `text`.
fn reads(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Number(number) => number.to_string() == text,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_what_lies_under_it_and_not_its_namesakes() {
        let products = Records::of(Sample::Products);
        let count = |folder| products.under(folder).len();
        assert_eq!([count(""), count("books"), count("book"), count("books/rust")], [3, 2, 0, 0]);
    }

    #[test]
    fn an_added_record_gets_the_next_number_whatever_it_calls_itself() {
        let users = Records::of(Sample::Users);
        let Value::Object(user) = json!({ "id": 1, "name": "Di" }) else { unreachable!() };
        assert_eq!(users.add(user).unwrap(), json!({ "id": 4, "name": "Di" }));
        assert_eq!(users.find("4").unwrap()["name"], "Di");
        assert_eq!(users.find("1").unwrap()["name"], "Ada");
    }

    #[test]
    fn records_are_bounded() {
        let users = Records::of(Sample::Users);
        let added = (0..2 * MAX_RECORDS).take_while(|_| users.add(Map::new()).is_some()).count();
        assert_eq!(added, MAX_RECORDS - 3);
    }
}
